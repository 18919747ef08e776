"""Runs of one shelf in order, along the index of the first order key, as far as need be.

A walk reads index entries from the front, checks the conditions on the way and stops at the
limit. What the index leaves open (runs that are equal in its key) is a search of its own: the
same conditions and the equality, ordered by the keys that are left. So several order keys, and a
key that many runs share, take a few short walks and no sort of everything.

A walk that gets nowhere is given up after ``FAR`` entries: every condition is met by many runs
and hardly any run meets all. Then the runs that meet the rarest condition are checked and sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from mainspring._adapters.sql.tracking_conditions import (
    PREFIX,
    UNINDEXED,
    Condition,
    Fragment,
    conditions_on,
    field_name,
)
from mainspring._adapters.sql.tracking_sorting import (
    Part,
    Sorting,
    behind,
    collation,
    order_by,
    sorted_all,
    sorted_from,
    width,
)
from mainspring._adapters.sql.tracking_sources import Sources
from mainspring.ports.database import Reader, Row
from mainspring.tracking.filters import Order

FAR: Final = 20_000
FAR_PER_RUN: Final = 50  # for each run asked for, when that is further
_WALKED: Final = {"run_name": "name", "status": "status", "start_time": "start_ms"}
_NAN, _MISSING = 1, 2


class _Index(msgspec.Struct, frozen=True):
    """The index of an order key: where it lies, its part for one shelf, what it is sorted by."""

    table: str
    where: Fragment
    run: str
    sort: str
    ties: tuple[str, ...] = ()


def walkable(order: Order) -> bool:
    """Whether an index gives this order."""
    return bool(field_name(order)) or order.key in _WALKED


class Walks:
    """The walks of one search in one shelf."""

    def __init__(  # noqa: PLR0913 - what a search knows
        self,
        reader: Reader,
        key: Sorting,
        *,
        shelf: int,
        numbers: dict[str, int],
        dialect: str,
        certain: frozenset[str],
        sources: Sources,
    ) -> None:
        self._reader = reader
        self._key = key
        self._shelf = shelf
        self._numbers = numbers
        self._collate = collation(dialect)
        self._certain = certain  # names that every run has that meets the conditions
        self._sources = sources

    def first(self, part: Part) -> list[Row]:
        """The first runs of a part with their sort keys, in no certain order."""
        if part.limit <= 0:
            return []
        rare = self._sources.rare(part.conditions)
        if rare is not None:
            return self._sorted(part, rare)
        if not part.orders:
            return self._newest(part)
        if not walkable(part.orders[0]):
            return self._sorted(part, self._sources.smallest(part.conditions))
        rows: list[Row] = []
        order, at = part.orders[0], part.after
        rank, value = self._place(order, at)
        if at is not None:
            rows = self._equal(part, value, rank, after=at)
        if rank == 0:
            found = self._along(part, value, part.limit - len(rows))
            if found is None:  # it got nowhere
                return self._sorted(part, self._sources.smallest(part.conditions))
            rows += found
        for lower in self._lower(order, rank):
            rows += self._equal(part, None, lower, limit=part.limit - len(rows))
        return rows

    # -- inside ---------------------------------------------------------------------------------

    def _sorted(self, part: Part, source: Fragment | None) -> list[Row]:
        if source is None:
            return sorted_all(self._reader, self._key, part, [self._shelf])
        return sorted_from(self._reader, self._key, part, source, [self._shelf])

    def _place(self, order: Order, after: Sequence[Any] | None) -> tuple[int, Any]:
        """Rank and value of the order key that a part begins after."""
        if after is None:
            return 0, None
        return (after[0], after[1]) if width(order) > 1 else (0, after[0])

    def _lower(self, order: Order, rank: int) -> list[int]:
        """The ranks that come after one: NaN, and what has no value."""
        name = field_name(order)
        ranks = [_NAN] if order.kind == "metric" else []
        ranks += [_MISSING] if name and name not in self._certain else []
        return [lower for lower in ranks if lower > rank]

    def _newest(self, part: Part) -> list[Row]:
        """By start, along the index that has all of this order."""
        columns = self._key.last(2)
        shelf = Fragment("o.shelf = ?", (self._shelf,))
        if part.after is not None:
            shelf = Fragment("o.shelf = ? AND o.start_ms <= ?", (self._shelf, part.after[0]))
        far = self._far(_Index("runs", shelf, "o.id", "o.start_ms"), part, descending=True)
        after, where = behind(columns, part.after), conditions_on("r.id", part.conditions)
        stop = Fragment(" AND r.start_ms >= ?", far) if far else Fragment("", ())
        rows = self._reader.all(
            f"{self._key.select} FROM runs r{self._key.joins.sql} "
            f"WHERE {shelf.sql.replace('o.', 'r.')}{stop.sql}{where.sql}{after.sql} ORDER BY {order_by(columns)} LIMIT ?",
            (
                *self._key.joins.values, *shelf.values, *stop.values,
                *where.values, *after.values, part.limit,
            ),
        )  # fmt: skip
        if far is None or len(rows) == part.limit:
            return rows
        return self._sorted(part, self._sources.smallest(part.conditions))

    def _along(self, part: Part, value: Any, limit: int) -> list[Row] | None:
        """Runs that have the order key, beyond a value of it; None when the walk was given up."""
        if limit <= 0:
            return []
        order = part.orders[0]
        index, down = self._index(order), order.descending
        if value is not None:
            beyond = Fragment(f" AND {index.sort} {'<' if down else '>'} ?", (value,))
            if index.table == "run_terms":
                beyond = replace(beyond, values=(str(value)[:PREFIX],))
            where = Fragment(index.where.sql + beyond.sql, index.where.values + beyond.values)
            index = replace(index, where=where)
        far = self._far(index, part, descending=down)
        rows = self._walk(index, part, far, limit + 1)
        if len(rows) <= limit:
            return None if far else rows
        last, next_one = (self._group(part, row) for row in rows[limit - 1 : limit + 1])
        if last != next_one:
            return rows[:limit]
        whole = [row for row in rows if self._group(part, row) != last]
        return whole + self._equal(part, last, 0, limit=limit - len(whole))

    def _walk(
        self, index: _Index, part: Part, far: tuple[Any, ...] | None, limit: int
    ) -> list[Row]:
        down = part.orders[0].descending
        where = conditions_on(index.run, part.conditions)
        stop = Fragment("", ())
        if far:
            ends = ", ".join((index.sort, *index.ties))
            stop = Fragment(f" AND ({ends}) {'>=' if down else '<='} ({_marks(far)})", far)
        return self._reader.all(
            f"{self._key.select} FROM {index.table} o CROSS JOIN runs r{self._key.joins.sql} "
            f"WHERE {index.where.sql}{stop.sql} AND r.id = {index.run}{where.sql} "
            f"ORDER BY {index.sort} {'DESC' if down else 'ASC'} LIMIT ?",
            (*self._key.joins.values, *index.where.values, *stop.values, *where.values, limit),
        )

    def _far(self, index: _Index, part: Part, *, descending: bool) -> tuple[Any, ...] | None:
        """The entry that a walk is given up at; None when it is free to go to the end."""
        if not part.conditions or all(one.source is None for one in part.conditions):
            return None
        way = " DESC" if descending else ""
        ends = (index.sort, *index.ties)
        return self._reader.one(
            f"SELECT {', '.join(ends)} FROM {index.table} o WHERE {index.where.sql} "
            f"ORDER BY {', '.join(end + way for end in ends)} LIMIT 1 OFFSET ?",
            (*index.where.values, max(FAR, FAR_PER_RUN * part.limit)),
        )

    def _index(self, order: Order) -> _Index:
        name = field_name(order)
        if order.kind == "metric":
            where = Fragment(
                "o.shelf = ? AND o.field = ? AND o.nan = 0", (self._shelf, self._numbers[name])
            )
            return _Index("latest", where, "o.run", "o.value", ("o.start_ms", "o.run"))
        if name:
            where = Fragment("o.shelf = ? AND o.field = ?", (self._shelf, self._numbers[name]))
            sort = f"substr(o.value, 1, {PREFIX}){self._collate}"
            return _Index("run_terms", where, "o.run", sort, ("o.run",))
        column = _WALKED[order.key]
        where = Fragment("o.shelf = ?", (self._shelf,))
        plain = "" if column == "start_ms" else self._collate
        return _Index("runs", where, "o.id", f"o.{column}{plain}")

    def _group(self, part: Part, row: Row) -> Any:
        """What a walk cannot tell apart: the value of its key, of a text the beginning."""
        order = part.orders[0]
        value = row[len(row) - part.width + width(order) - 1]
        return value[:PREFIX] if order.kind in {"param", "tag"} else value

    def _equal(
        self,
        part: Part,
        value: Any,
        rank: int,
        *,
        after: Sequence[Any] | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """The runs of a part that are equal in its first order key, by the keys that are left."""
        order = part.orders[0]
        if isinstance(value, str) and order.kind in {"param", "tag"}:
            value = value[:PREFIX]
        same = self._same(order, value, rank)
        most = part.limit if limit is None else limit
        if isinstance(value, str) and field_name(order) and len(value) == PREFIX:
            # Long texts may differ further on, so all of them are sorted by the whole of it.
            here = replace(
                part, conditions=(*part.conditions, same), limit=most,
                after=None if after is None else tuple(after),
            )  # fmt: skip
            return self._sorted(here, same.source) if most > 0 else []
        return self.first(
            Part(
                conditions=(*part.conditions, same),
                orders=part.orders[1:],
                after=None if after is None else tuple(after[width(order) :]),
                limit=most,
            )
        )

    def _same(self, order: Order, value: Any, rank: int) -> Condition:
        """The condition that a run has this rank and value of an order key."""
        name = field_name(order)
        if not name:
            column = _WALKED[order.key]
            source = f"SELECT id AS run FROM runs WHERE shelf = ? AND {column} = ?"
            return Condition(
                f"{UNINDEXED[order.key]} = ?",
                (value,),
                Fragment(source, (self._shelf, value)),
                needs_row=True,
            )
        number = self._numbers[name]
        table = "latest" if order.kind == "metric" else "run_terms"
        exists = f"EXISTS (SELECT 1 FROM {table} c WHERE c.run = {{run}} AND c.field = ?"
        if rank == _MISSING:
            return Condition(f"NOT {exists})", (number,))
        test, found = f"substr(value, 1, {PREFIX}) = ?", [value]
        if order.kind == "metric":
            test, found = "nan = ? AND value = ?", [rank, 0.0 if rank == _NAN else value]
        source = f"SELECT run FROM {table} WHERE shelf = ? AND field = ? AND {test}"
        return Condition(
            f"{exists} AND {test.replace('nan', 'c.nan').replace('value', 'c.value')})",
            (number, *found),
            Fragment(source, (self._shelf, number, *found)),
        )


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
