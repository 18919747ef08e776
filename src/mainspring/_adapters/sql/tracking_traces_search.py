"""Searches for traces: conditions on a trace ``t``, orders, pages by the last sort key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mainspring._adapters.sql.fields import marks
from mainspring._adapters.sql.tracking_conditions import Fragment, compare
from mainspring._adapters.sql.tracking_experiments import experiment_number
from mainspring._adapters.sql.tracking_traces_sources import FEW, driver
from mainspring.ports.database import Reader
from mainspring.tracking.filters import Clause, Order
from mainspring.tracking.traces_ports import TraceHit, TraceQuery
from mainspring.tracking.traces_types import NAME, RUN

_COLUMNS: Final = {
    "request_id": "t.uuid",
    "status": "t.state",
    "client_request_id": "t.client_id",
    "experiment_id": "t.experiment",
    "timestamp_ms": "t.start_ms",
    "execution_time_ms": "t.duration_ms",
    "end_time_ms": "(t.start_ms + t.duration_ms)",
}
_SPAN: Final = {"name": "s.name", "type": "s.type", "status": "s.status"}
_NUMBERS: Final = frozenset({"<", "<=", ">", ">="})
_Column = tuple[str, bool]  # SQL, and whether it falls


def search_traces(
    reader: Reader, query: TraceQuery, dialect: str, *, few: int = FEW
) -> list[TraceHit]:
    """The first traces of a query with their sort keys; up to ``few`` of a condition drive it."""
    found = map(experiment_number, dict.fromkeys(query.experiment_ids))
    numbers = [number for number in found if number is not None]
    if not numbers:
        return []
    where = Fragment.all(_conditions(query.clauses, dialect))
    joins, columns = _order(query.orders, dialect)
    after = _after(columns, query.after)
    order = ", ".join(f"{sql} {'DESC' if falls else 'ASC'}" for sql, falls in columns)
    begin = _few(driver(reader, query.clauses, numbers, few))
    rows = reader.all(
        f"SELECT t.uuid, {', '.join(sql for sql, _ in columns)} FROM {begin.sql}traces t{joins.sql} "
        f"WHERE {'t.id = few.trace AND ' if begin.sql else ''}"
        f"t.experiment IN ({marks(numbers)}){where.sql}{after.sql} ORDER BY {order} LIMIT ?",
        (*begin.values, *joins.values, *numbers, *where.values, *after.values, query.limit),
    )
    return [TraceHit(row[0], tuple(row[1:])) for row in rows]


def _few(source: Fragment | None) -> Fragment:
    """The source before the traces; CROSS has SQLite begin with it."""
    if source is None:
        return Fragment("", ())
    sql = f"(SELECT DISTINCT trace FROM ({source.sql}) u) few CROSS JOIN "
    return Fragment(sql, source.values)


def _conditions(clauses: Sequence[Clause], dialect: str) -> list[Fragment]:
    """One condition for each clause, but one for all that a single span has to meet."""
    spans = [_of_span(clause, dialect) for clause in clauses if clause.kind == "span"]
    found = [_of_trace(clause, dialect) for clause in clauses if clause.kind != "span"]
    return [*found, _some_span(spans)] if spans else found


def _of_trace(clause: Clause, dialect: str) -> Fragment:
    if clause.kind in {"tag", "metadata"}:
        return _term(f"{clause.kind[0]}:{clause.key}", clause, dialect)
    if clause.kind in {"feedback", "expectation"}:
        return _judged(clause, dialect)
    if clause.key == "name":
        return _term(f"t:{NAME}", clause, dialect)
    if clause.key == "text":
        return _some_span([_content(clause, dialect)])
    if clause.key in {"run_id", "prompt"}:
        return _linked(clause, dialect)
    return compare(_COLUMNS[clause.key], clause, dialect)


def _term(name: str, clause: Clause, dialect: str) -> Fragment:
    base = "EXISTS (SELECT 1 FROM trace_terms c WHERE c.trace = t.id AND c.name = ?"
    if clause.op in {"IS NULL", "IS NOT NULL"}:
        return Fragment(f"{'NOT ' if clause.op == 'IS NULL' else ''}{base})", (name,))
    inner = compare("c.value", clause, dialect)
    return Fragment(f"{base} AND {inner.sql})", (name, *inner.values))


def _linked(clause: Clause, dialect: str) -> Fragment:
    """Made by a run, as its metadata say, or tied to it afterwards."""
    kind = "run:" if clause.key == "run_id" else "prompt:"
    inner = compare(f"substr(l.target, {len(kind) + 1})", clause, dialect)
    tied = Fragment(
        "EXISTS (SELECT 1 FROM trace_links l WHERE l.trace = t.id "
        f"AND substr(l.target, 1, {len(kind)}) = ? AND {inner.sql})",
        (kind, *inner.values),
    )
    if clause.key == "prompt":
        return tied
    made = _term(f"m:{RUN}", clause, dialect)
    return Fragment(f"({made.sql} OR {tied.sql})", (*made.values, *tied.values))


def _judged(clause: Clause, dialect: str) -> Fragment:
    base = "EXISTS (SELECT 1 FROM assessments a WHERE a.trace = t.id AND a.kind = ? AND a.name = ?"
    named = (clause.kind, clause.key)
    if clause.op in {"IS NULL", "IS NOT NULL"}:
        return Fragment(f"{'NOT ' if clause.op == 'IS NULL' else ''}{base})", named)
    inner = compare("a.number" if clause.op in _NUMBERS else "a.value", clause, dialect)
    return Fragment(f"{base} AND {inner.sql})", (*named, *inner.values))


def _some_span(conditions: Sequence[Fragment]) -> Fragment:
    inner = Fragment.all(conditions)
    return Fragment(f"EXISTS (SELECT 1 FROM spans s WHERE s.trace = t.id{inner.sql})", inner.values)


def _of_span(clause: Clause, dialect: str) -> Fragment:
    if clause.key in _SPAN:
        return compare(_SPAN[clause.key], clause, dialect)
    if clause.key == "content":
        return _content(clause, dialect)
    key = clause.key.partition(".")[2]
    if dialect == "postgres":
        inner = compare("(s.attributes::json ->> CAST(? AS TEXT))", clause, dialect)
        return Fragment(inner.sql, (key, *inner.values))
    # A label of ->> is read as a path when it begins with '$', so the key is compared as a value.
    plain = "CASE j.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(j.value AS TEXT) END"
    inner = compare(plain, clause, dialect)
    return Fragment(
        f"EXISTS (SELECT 1 FROM json_each(s.attributes) j WHERE j.key = ? AND {inner.sql})",
        (key, *inner.values),
    )


def _content(clause: Clause, dialect: str) -> Fragment:
    """Anything that a span says: its name and attributes."""
    return compare("(s.name || ' ' || s.attributes)", clause, dialect)


def _order(orders: Sequence[Order], dialect: str) -> tuple[Fragment, list[_Column]]:
    """The sort key: for each order what is missing last, then newest first, then identifier."""
    collate = ' COLLATE "C"' if dialect == "postgres" else ""
    columns: list[_Column] = []
    joins, values = "", []
    for index, order in enumerate(orders):
        alias = f"o{index}"
        term = _ordered_term(order)
        if term:
            joins += f" LEFT JOIN trace_terms {alias} ON {alias}.trace = t.id AND {alias}.name = ?"
            values.append(term)
            sql, none = f"{alias}.value", "''"
        else:
            sql = _COLUMNS[order.key]
            none = "''" if order.key in {"request_id", "status", "client_request_id"} else "0"
        plain = collate if none == "''" else ""
        columns.append((f"CASE WHEN {sql} IS NULL THEN 1 ELSE 0 END", False))
        columns.append((f"COALESCE({sql}, {none}){plain}", order.descending))
    columns += [("t.start_ms", True), (f"t.uuid{collate}", False)]
    return Fragment(joins, tuple(values)), columns


def _ordered_term(order: Order) -> str:
    if order.kind in {"tag", "metadata"}:
        return f"{order.kind[0]}:{order.key}"
    return {"name": f"t:{NAME}", "run_id": f"m:{RUN}"}.get(order.key, "")


def _after(columns: Sequence[_Column], values: Sequence[Any] | None) -> Fragment:
    """The condition that a row comes after a sort key, each column with its direction."""
    if values is None:
        return Fragment("", ())
    ways: list[str] = []
    bound: list[Any] = []
    for index, (sql, falls) in enumerate(columns):
        same = "".join(f"{before} = ? AND " for before, _ in columns[:index])
        ways.append(f"({same}{sql} {'<' if falls else '>'} ?)")
        bound += values[: index + 1]
    return Fragment(f" AND ({' OR '.join(ways)})", tuple(bound))
