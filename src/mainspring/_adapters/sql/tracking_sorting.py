"""Sort keys of runs as SQL, and runs sorted by them where no index is walked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from mainspring._adapters.sql.fields import chunks, marks
from mainspring._adapters.sql.tracking_conditions import (
    Condition,
    Fragment,
    conditions_on,
    field_name,
)
from mainspring.ports.database import Reader, Row
from mainspring.tracking.filters import Order

_ATTRIBUTES: Final = {
    "run_id": "r.uuid",
    "run_name": "r.name",
    "user_id": "r.user_id",
    "status": "r.status",
    "artifact_uri": "r.artifact_uri",
    "start_time": "r.start_ms",
}


class Column(msgspec.Struct, frozen=True):
    """A column of the sort key."""

    sql: str
    descending: bool = False


class Sorting(msgspec.Struct, frozen=True):
    """The sort key of a search: its columns, and the tables that they take beside the run's row."""

    columns: tuple[Column, ...]
    joins: Fragment

    @property
    def select(self) -> str:
        return "SELECT r.id, " + ", ".join(column.sql for column in self.columns)

    def last(self, count: int) -> tuple[Column, ...]:
        """The columns that still tell runs apart which are equal in all before them."""
        return self.columns[len(self.columns) - count :]


def width(order: Order) -> int:
    """How many columns an order takes: what a run may lack has a rank before its value."""
    return 2 if field_name(order) or order.key == "end_time" else 1


def collation(dialect: str) -> str:
    """What has texts sort by code point in every database."""
    return ' COLLATE "C"' if dialect == "postgres" else ""


def sorting(orders: Sequence[Order], numbers: dict[str, int], dialect: str) -> Sorting:
    """The sort key: rank and value of each order, then newest first, then the identifier."""
    collate = collation(dialect)
    columns: list[Column] = []
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
            columns.append(Column(f"CASE WHEN {absent} THEN 2 ELSE {missing} END"))
            plain = "" if order.kind == "metric" else collate
            columns.append(Column(f"COALESCE({alias}.value, {none}){plain}", order.descending))
        elif order.key == "end_time":
            columns.append(Column("CASE WHEN r.end_ms IS NULL THEN 2 ELSE 0 END"))
            columns.append(Column("COALESCE(r.end_ms, 0)", order.descending))
        else:
            plain = "" if order.key == "start_time" else collate
            columns.append(Column(_ATTRIBUTES[order.key] + plain, order.descending))
    columns += [Column("r.start_ms", descending=True), Column(f"r.uuid{collate}")]
    return Sorting(tuple(columns), Fragment(joins, tuple(values)))


def order_by(columns: Sequence[Column]) -> str:
    return ", ".join(f"{c.sql} {'DESC' if c.descending else 'ASC'}" for c in columns)


def behind(columns: Sequence[Column], values: Sequence[Any] | None) -> Fragment:
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


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a search: the first ``limit`` runs that meet conditions, after a sort key.

    All of them are equal in the columns that ``after`` leaves out.
    """

    conditions: tuple[Condition, ...]
    orders: tuple[Order, ...]
    after: tuple[Any, ...] | None
    limit: int

    @property
    def width(self) -> int:
        return sum(map(width, self.orders)) + 2


def sorted_from(
    reader: Reader, key: Sorting, part: Part, source: Fragment, shelves: Sequence[int]
) -> list[Row]:
    """Runs of a source, checked and sorted."""
    columns = key.last(part.width)
    after, where = behind(columns, part.after), conditions_on("r.id", part.conditions)
    return reader.all(
        f"{key.select} FROM (SELECT DISTINCT run FROM ({source.sql}) rare) d CROSS JOIN runs r"
        f"{key.joins.sql} WHERE r.id = d.run AND r.shelf IN ({marks(shelves)}){where.sql}"
        f"{after.sql} ORDER BY {order_by(columns)} LIMIT ?",
        (*source.values, *key.joins.values, *shelves, *where.values, *after.values, part.limit),
    )


def sorted_all(reader: Reader, key: Sorting, part: Part, shelves: Sequence[int]) -> list[Row]:
    """All runs of shelves, checked and sorted: for orders that no index gives."""
    columns = key.last(part.width)
    after, where = behind(columns, part.after), conditions_on("r.id", part.conditions)
    rows: list[Row] = []
    for some in chunks(shelves):
        rows += reader.all(
            f"{key.select} FROM runs r{key.joins.sql} WHERE r.shelf IN ({marks(some)})"
            f"{where.sql}{after.sql} ORDER BY {order_by(columns)} LIMIT ?",
            (*key.joins.values, *some, *where.values, *after.values, part.limit),
        )
    return rows
