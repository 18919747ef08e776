"""Searches for runs that walk an index and stop: their cost does not grow with the number of runs.

Two plans. When one condition is rare (at most ``RARE`` runs meet it, counted with a bound), the
search starts from that condition's index, checks the rest and sorts the few that are left. When
every condition is common, it walks the index of the first order key from the top and checks the
conditions on the way, so it stops after about ``limit / share of runs that match`` rows. Only
conditions that are each common and hardly ever true together make it walk far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from mainspring._adapters.sql.fields import Fields, chunks, marks
from mainspring._adapters.sql.tracking_conditions import (
    Fragment,
    condition,
    field_name,
    rare_source,
)
from mainspring._adapters.sql.tracking_experiments import experiment_number
from mainspring.ports.database import Reader, Row
from mainspring.tracking.filters import Clause, Order
from mainspring.tracking.matching import sort_key
from mainspring.tracking.ports import Hit, RunQuery

RARE: Final = 2_000
_MAX_WALKS: Final = 64  # shelves walked one by one; more are sorted together
_MAX_COUNTED: Final = 8
_START: Final = Order("attribute", "start_time", descending=True)
_ATTRIBUTES: Final = {
    "run_id": "r.uuid",
    "run_name": "r.name",
    "user_id": "r.user_id",
    "status": "r.status",
    "artifact_uri": "r.artifact_uri",
    "start_time": "r.start_ms",
    "end_time": "r.end_ms",
}


class _Column(msgspec.Struct, frozen=True):
    """A column of the sort key."""

    sql: str
    descending: bool = False


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A search in parts that both plans use."""

    columns: tuple[_Column, ...]
    joins: Fragment
    where: Fragment
    limit: int
    after: tuple[Any, ...] | None


def search_runs(reader: Reader, query: RunQuery, *, fields: Fields, dialect: str) -> list[Hit]:
    """The first runs of a query with their sort keys."""
    shelves = _shelves(reader, query)
    names = {field_name(c) for c in query.clauses} | {field_name(o) for o in query.orders}
    numbers = fields.existing(reader, [name for name in sorted(names) if name])
    clauses = [c for c in query.clauses if not _always(c, numbers)]
    if not shelves or any(_never(clause, numbers) for clause in clauses):
        return []
    orders = [o for o in query.orders if not field_name(o) or field_name(o) in numbers]
    columns, joins = _columns(orders, numbers, dialect)
    plan = _Plan(
        columns=columns,
        joins=joins,
        where=Fragment.all(condition(clause, numbers, dialect) for clause in clauses),
        limit=query.limit,
        after=query.after,
    )
    source = _rarest(reader, clauses, shelves, numbers)
    if source is not None:
        return _hits(_sorted_from(reader, plan, source, shelves), plan)
    if orders[1:] or len(shelves) > _MAX_WALKS or not _walkable(orders):
        return _hits(_sorted_all(reader, plan, shelves), plan)
    order = orders[0] if orders else _START
    certain = any(c.kind == "metric" and c.key == order.key for c in clauses)
    rows = [
        row
        for shelf in shelves
        for row in _walk(reader, plan, order, (shelf, numbers), certain=certain)
    ]
    return _hits(rows, plan)


def _hits(rows: Sequence[Row], plan: _Plan) -> list[Hit]:
    hits = [Hit(row[0], tuple(row[1:])) for row in rows]
    key = sort_key([column.descending for column in plan.columns])
    return sorted(hits, key=lambda hit: key(hit.key))[: plan.limit]


def _shelves(reader: Reader, query: RunQuery) -> list[int]:
    numbers = [
        n for n in map(experiment_number, dict.fromkeys(query.experiment_ids)) if n is not None
    ]
    shelves: list[int] = []
    for part in chunks(numbers):
        for number, state in reader.all(
            f"SELECT id, state FROM experiments WHERE id IN ({marks(part)}) ORDER BY id", part
        ):
            live, deleted = 2 * number, 2 * number + 1
            if query.view == "all" or (query.view == "deleted" and state == "deleted"):
                shelves += [live, deleted]
            elif query.view == "deleted":
                shelves.append(deleted)
            elif state == "active":
                shelves.append(live)
    return shelves


def _always(clause: Clause, numbers: dict[str, int]) -> bool:
    return clause.op == "IS NULL" and field_name(clause) not in numbers


def _never(clause: Clause, numbers: dict[str, int]) -> bool:
    name = field_name(clause)
    return bool(name) and name not in numbers


def _walkable(orders: Sequence[Order]) -> bool:
    if not orders:
        return True
    order = orders[0]
    return order.kind == "metric" or (order.kind, order.key) == ("attribute", "start_time")


def _columns(
    orders: Sequence[Order], numbers: dict[str, int], dialect: str
) -> tuple[tuple[_Column, ...], Fragment]:
    """The sort key: rank and value of each order, then newest first, then the identifier.

    Texts sort by code point in every database, whatever its collation.
    """
    collate = ' COLLATE "C"' if dialect == "postgres" else ""
    columns: list[_Column] = []
    joins, values = "", []
    for index, order in enumerate(orders):
        alias = f"o{index}"
        name = field_name(order)
        if name:
            table = "latest" if order.kind == "metric" else "run_terms"
            joins += f" LEFT JOIN {table} {alias} ON {alias}.run = r.id AND {alias}.field = ?"
            values.append(numbers[name])
            missing = f"{alias}.nan" if order.kind == "metric" else "0"
            absent, none = f"{alias}.run IS NULL", "0" if order.kind == "metric" else "''"
            columns.append(_Column(f"CASE WHEN {absent} THEN 2 ELSE {missing} END"))
            plain = "" if order.kind == "metric" else collate
            columns.append(_Column(f"COALESCE({alias}.value, {none}){plain}", order.descending))
        elif order.key == "end_time":
            columns.append(_Column("CASE WHEN r.end_ms IS NULL THEN 2 ELSE 0 END"))
            columns.append(_Column("COALESCE(r.end_ms, 0)", order.descending))
        else:
            plain = "" if order.key == "start_time" else collate
            columns.append(_Column(_ATTRIBUTES[order.key] + plain, order.descending))
    columns += [_Column("r.start_ms", descending=True), _Column(f"r.uuid{collate}")]
    return tuple(columns), Fragment(joins, tuple(values))


def _rarest(
    reader: Reader, clauses: Sequence[Clause], shelves: Sequence[int], numbers: dict[str, int]
) -> Fragment | None:
    """A query for the few runs that meet the rarest condition; None when none is rare."""
    best, fewest = None, RARE
    sources = (rare_source(clause, shelves, numbers) for clause in clauses)
    for source in [source for source in sources if source is not None][:_MAX_COUNTED]:
        row = reader.one(
            f"SELECT COUNT(*) FROM ({source.sql} LIMIT ?) few", (*source.values, fewest + 1)
        )
        if row and row[0] <= fewest:
            best, fewest = source, row[0]
    return best


def _select(plan: _Plan) -> str:
    return "SELECT r.id, " + ", ".join(column.sql for column in plan.columns)


def _order(columns: Sequence[_Column]) -> str:
    return ", ".join(f"{c.sql} {'DESC' if c.descending else 'ASC'}" for c in columns)


def _after(columns: Sequence[_Column], values: Sequence[Any] | None) -> Fragment:
    """The condition that a row comes after a sort key, each column with its direction."""
    if values is None:
        return Fragment("", ())
    sql, bound = "", []
    pairs = list(zip(columns, values, strict=True))
    for index, (column, value) in enumerate(pairs):
        beyond = "<" if column.descending else ">"
        last = index == len(pairs) - 1
        sql += f"({column.sql} {beyond} ?" + ("" if last else f" OR ({column.sql} = ? AND ")
        bound += [value] if last else [value, value]
    return Fragment(" AND " + sql + ")" * (2 * len(pairs) - 1), tuple(bound))


def _sorted_from(
    reader: Reader, plan: _Plan, source: Fragment, shelves: Sequence[int]
) -> list[Row]:
    """Few runs, checked and sorted."""
    after = _after(plan.columns, plan.after)
    return reader.all(
        f"{_select(plan)} FROM (SELECT DISTINCT run FROM ({source.sql}) rare) d CROSS JOIN runs r"
        f"{plan.joins.sql} WHERE r.id = d.run AND r.shelf IN ({marks(shelves)}){plan.where.sql}"
        f"{after.sql} ORDER BY {_order(plan.columns)} LIMIT ?",
        (
            *source.values,
            *plan.joins.values,
            *shelves,
            *plan.where.values,
            *after.values,
            plan.limit,
        ),
    )


def _sorted_all(reader: Reader, plan: _Plan, shelves: Sequence[int]) -> list[Row]:
    """All runs, checked and sorted: for orders that no index gives."""
    after = _after(plan.columns, plan.after)
    rows: list[Row] = []
    for part in chunks(shelves):
        rows += reader.all(
            f"{_select(plan)} FROM runs r{plan.joins.sql} WHERE r.shelf IN ({marks(part)})"
            f"{plan.where.sql}{after.sql} ORDER BY {_order(plan.columns)} LIMIT ?",
            (*plan.joins.values, *part, *plan.where.values, *after.values, plan.limit),
        )
    return rows


def _walk(
    reader: Reader,
    plan: _Plan,
    order: Order,
    where: tuple[int, dict[str, int]],
    *,
    certain: bool,
) -> Iterator[Row]:
    """Rows of one shelf in order: by a metric in three phases, or by start."""
    shelf, numbers = where
    if order.kind != "metric":
        yield from _walk_starts(reader, plan, shelf)
        return
    left = plan.limit
    first = plan.after[0] if plan.after else 0
    for rank in range(first, 2 if certain else 3):
        if left <= 0:
            return
        after = plan.after if rank == first else None
        phase = msgspec.structs.replace(plan, limit=left, after=after)
        place = (shelf, numbers[f"m:{order.key}"])
        rows = (
            _walk_missing(reader, phase, place)
            if rank == 2  # noqa: PLR2004 - the rank of what is missing
            else _walk_values(reader, phase, place, rank, descending=order.descending)
        )
        yield from rows
        left -= len(rows)


def _walk_starts(reader: Reader, plan: _Plan, shelf: int) -> list[Row]:
    after = _after(plan.columns, plan.after)
    bound = ""
    values: tuple[Any, ...] = ()
    if plan.after is not None:
        bound = f" AND r.start_ms {'<=' if plan.columns[0].descending else '>='} ?"
        values = (plan.after[0],)
    return reader.all(
        f"{_select(plan)} FROM runs r WHERE r.shelf = ?{bound}{plan.where.sql}{after.sql} "
        f"ORDER BY {_order(plan.columns)} LIMIT ?",
        (shelf, *values, *plan.where.values, *after.values, plan.limit),
    )


def _walk_values(
    reader: Reader, plan: _Plan, place: tuple[int, int], rank: int, *, descending: bool
) -> list[Row]:
    """Runs that have the metric, along the index of its values (or of its NaNs)."""
    columns = (
        _Column("o0.value", descending),
        _Column("o0.start_ms", descending=True),
        plan.columns[-1],
    )
    after = _after(columns, plan.after[1:] if plan.after else None)
    bound = ""
    values: tuple[Any, ...] = ()
    if plan.after:
        bound, values = f" AND o0.value {'<=' if descending else '>='} ?", (plan.after[1],)
    return reader.all(
        "SELECT r.id, o0.nan, o0.value, o0.start_ms, r.uuid FROM latest o0 CROSS JOIN runs r "
        f"WHERE o0.shelf = ? AND o0.field = ? AND o0.nan = ?{bound} AND r.id = o0.run"
        f"{plan.where.sql}{after.sql} ORDER BY {_order(columns)} LIMIT ?",
        (*place, rank, *values, *plan.where.values, *after.values, plan.limit),
    )


def _walk_missing(reader: Reader, plan: _Plan, place: tuple[int, int]) -> list[Row]:
    """Runs without the metric, newest first."""
    columns = plan.columns[-2:]
    after = _after(columns, plan.after[2:] if plan.after else None)
    bound = ""
    values: tuple[Any, ...] = ()
    if plan.after:
        bound, values = " AND r.start_ms <= ?", (plan.after[2],)
    return reader.all(
        f"SELECT r.id, 2, 0, r.start_ms, r.uuid FROM runs r WHERE r.shelf = ?{bound} "
        "AND NOT EXISTS (SELECT 1 FROM latest m WHERE m.run = r.id AND m.field = ?)"
        f"{plan.where.sql}{after.sql} ORDER BY {_order(columns)} LIMIT ?",
        (place[0], *values, place[1], *plan.where.values, *after.values, plan.limit),
    )
