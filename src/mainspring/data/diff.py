"""How two versions of a dataset differ, counted by the query engine along the key."""

from __future__ import annotations

from typing import Any

from mainspring.core.schema import Column
from mainspring.data.sql import names, quoted
from mainspring.data.versions import ColumnChange, DatasetDiff, DatasetVersion
from mainspring.ports.tables import Tables

_NUMERIC = frozenset({"integer", "number"})
_EXAMPLES = 5


def between(tables: Tables, before: DatasetVersion, after: DatasetVersion) -> DatasetDiff:
    """Rows added, removed and changed from one version to the other, and what each column did."""
    relations = {"old_rows": before.relation, "new_rows": after.relation}
    old = {column.name: column for column in before.schema.columns}
    new = {column.name: column for column in after.schema.columns}
    key = [name for name in after.spec.key if name in old]
    shared = [name for name in new if name in old and name not in key]
    found = tables.query(_counts(key, shared), relations)
    counts = {name: int(values[0]) for name, values in found.items()}
    summary = tables.query(_summary(old, new), relations)
    return DatasetDiff(
        dataset=after.dataset,
        before=before.version,
        after=after.version,
        rows_before=before.rows,
        rows_after=after.rows,
        added=counts["added"],
        removed=counts["removed"],
        changed=counts["changed"],
        unchanged=counts["both"] - counts["changed"],
        columns=tuple(
            _column(name, old.get(name), new.get(name), (counts, summary))
            for name in dict.fromkeys((*old, *new))
        ),
        examples=_examples(tables, key, shared, relations),
    )


def _joined(key: list[str], shared: list[str]) -> str:
    """Both versions side by side; ``o`` and ``n`` tell in which a row is."""
    different = " OR ".join(f"o.{quoted(c)} IS DISTINCT FROM n.{quoted(c)}" for c in shared)
    same_key = " AND ".join(f"o.{quoted(c)} = n.{quoted(c)}" for c in key)
    keys = ", ".join(f"coalesce(n.{quoted(c)}, o.{quoted(c)}) AS {quoted(c)}" for c in key)
    flags = "".join(
        f", o.{quoted(c)} IS DISTINCT FROM n.{quoted(c)} AS d_{index}"
        for index, c in enumerate(shared)
    )
    here = f"o.{quoted(key[0])} IS NOT NULL", f"n.{quoted(key[0])} IS NOT NULL"
    return (
        f"SELECT {keys}, {here[0]} AS in_old, {here[1]} AS in_new, "
        f"({different or 'false'}) AS differs{flags} "
        f"FROM old_rows o FULL OUTER JOIN new_rows n ON {same_key}"
    )


def _counts(key: list[str], shared: list[str]) -> str:
    per_column = "".join(
        f", count(*) FILTER (in_old AND in_new AND d_{index}) AS changed_{index}"
        for index, _ in enumerate(shared)
    )
    named = "".join(
        f", changed_{index} AS {quoted('changed ' + column)}" for index, column in enumerate(shared)
    )
    return (
        f'SELECT added, removed, changed, both_ AS "both"{named} FROM (SELECT '
        "count(*) FILTER (NOT in_old) AS added, count(*) FILTER (NOT in_new) AS removed, "
        "count(*) FILTER (in_old AND in_new) AS both_, "
        f"count(*) FILTER (in_old AND in_new AND differs) AS changed{per_column} "
        f"FROM ({_joined(key, shared)}))"
    )


def _summary(old: dict[str, Column], new: dict[str, Column]) -> str:
    words = []
    for side, columns in (("old", old), ("new", new)):
        for name, column in columns.items():
            of = f"FROM {side}_rows"
            label = f"{side} {name}"
            words.append(
                f"(SELECT count(*) - count({quoted(name)}) {of}) AS {quoted(label + ' nulls')}"
            )
            if column.type in _NUMERIC:
                words.append(f"(SELECT avg({quoted(name)}) {of}) AS {quoted(label + ' mean')}")
    return f"SELECT {', '.join(words)}"


def _column(
    name: str, old: Column | None, new: Column | None, found: tuple[dict[str, int], Any]
) -> ColumnChange:
    counts, summary = found

    def mean(side: str) -> float | None:
        values = summary.get(f"{side} {name} mean")
        return float(values[0]) if values is not None and values[0] == values[0] else None

    def nulls(side: str) -> int:
        values = summary.get(f"{side} {name} nulls")
        return int(values[0]) if values is not None else 0

    return ColumnChange(
        column=name,
        before=old.type if old else None,
        after=new.type if new else None,
        changed_rows=counts.get(f"changed {name}", 0),
        nulls_before=nulls("old"),
        nulls_after=nulls("new"),
        mean_before=mean("old"),
        mean_after=mean("new"),
    )


def _examples(
    tables: Tables, key: list[str], shared: list[str], relations: Any
) -> dict[str, tuple[str, ...]]:
    """The keys of the first few rows of each kind."""
    kinds = {
        "added": "NOT in_old",
        "removed": "NOT in_new",
        "changed": "in_old AND in_new AND differs",
    }
    shown = f"concat_ws(' ', {', '.join(f'CAST({quoted(c)} AS VARCHAR)' for c in key)})"
    found = {}
    for kind, condition in kinds.items():
        sql = (
            f"SELECT {shown} AS example FROM ({_joined(key, shared)}) WHERE {condition} "
            f"ORDER BY {names(key)} LIMIT {_EXAMPLES}"
        )
        found[kind] = tuple(str(one) for one in tables.query(sql, relations)["example"])
    return found
