"""What a query may name: the relations it was given, its own common tables, and pure generators.

The engine is closed to files and network by its settings; this is the wall before that wall. It
also keeps queries away from the engine's catalog, which would tell where files lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean

GENERATORS: Final = frozenset({"range", "generate_series", "unnest", "repeat", "json_each"})
PARSE: Final = "SELECT json_serialize_sql($sql::VARCHAR)"


def check(parsed: str, sql: str, relations: frozenset[str]) -> None:
    """Returns when the parsed statement is one SELECT over what it was given.

    Errors: ``tables.bad_query``.
    """
    tree = msgspec.json.decode(parsed)
    if tree.get("error"):
        raise bad_query(str(tree.get("error_message", "not a query")), sql)
    if len(tree["statements"]) != 1:
        raise bad_query("one statement at a time, please.", sql)
    nodes = list(_nodes(tree))
    known = relations | {name for node in nodes for name in _common_tables(node)}
    for node in nodes:
        _check_node(node, {name.lower() for name in known}, relations, sql)


def _check_node(node: dict[str, Any], known: set[str], relations: frozenset[str], sql: str) -> None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        place = node.get("catalog_name") or node.get("schema_name")
        if place or str(node.get("table_name")).lower() not in known:
            name = f"{place}.{node.get('table_name')}" if place else str(node.get("table_name"))
            hint = did_you_mean(name, relations)
            raise bad_query(f"there is no relation {name!r} here.", sql, hint)
    elif kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name")).lower()
        if name not in GENERATORS:
            raise bad_query(f"{name}() may not be used in a query.", sql)
    elif kind == "SHOW_REF" and str(node.get("table_name") or "").strip('"'):
        raise bad_query("SHOW is not a query.", sql)


def _common_tables(node: dict[str, Any]) -> Iterator[str]:
    for entry in (node.get("cte_map") or {}).get("map", ()):
        yield str(entry["key"])


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON document, without recursion (queries nest deeply)."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def bad_query(why: str, sql: str, hint: str = "") -> Invalid:
    """The refusal of a query, with the engine's own words."""
    return Invalid(
        "tables.bad_query",
        f"The query cannot run: {why.strip()[:2000]}",
        hint=hint or "Correct the SQL; it sees the relations that it was given and nothing else.",
        sql=sql[:2000],
    )
