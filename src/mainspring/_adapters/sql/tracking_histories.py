"""Reads of a metric's points in order, in columns: block by block, merged with the loose rows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from mainspring._adapters.sql.tracking_blocks import (
    BLOCK,
    Block,
    Series,
    block_at,
    blocks_after,
    rows_after,
)
from mainspring.ports.database import Reader
from mainspring.tracking.columns import Columns, Ordered, columns_of, merged, nothing

MOST: Final = 64  # blocks of one statement: 1.5 MB as a rule
MOST_ROWS: Final = 16 * BLOCK  # of one statement


def read(reader: Reader, series: Series, *, after: Ordered | None = None, limit: int) -> Columns:
    """At most so many points by time, step and value, after the given one of those."""
    found = nothing()
    for part in parts(reader, series, after=after, limit=limit):
        found.extend(part)
        if len(found.steps) >= limit:
            break
    return found.first(limit)


def parts(
    reader: Reader, series: Series, *, after: Ordered | None = None, limit: int | None = None
) -> Iterator[Columns]:
    """The points in order, part by part; a reader who wants only so many says so."""
    rows = _Rows(reader, series, after, MOST_ROWS if limit is None else min(limit, MOST_ROWS))
    for block in _blocks(reader, series, after, limit):
        before = rows.until(block.first, inclusive=False)
        if before:
            yield columns_of(before)
        columns = block.columns()
        if after is not None and block.first <= after:
            columns = columns.after(after)
        among = rows.until(block.last, inclusive=True)
        yield columns_of(merged(columns.rows(), among)) if among else columns
    while rest := rows.rest():
        yield columns_of(rest)


def _blocks(
    reader: Reader, series: Series, after: Ordered | None, limit: int | None
) -> Iterator[Block]:
    """The blocks in order, from the one that holds the point; some with each statement."""
    some = MOST if limit is None else min(MOST, 2 + limit // BLOCK)
    start = block_at(reader, series, after) if after is not None else None
    if start is not None:
        yield start
    last = start.last if start is not None else after
    while found := blocks_after(reader, series, last, some):
        yield from found
        if len(found) < some:
            return
        last = found[-1].last


class _Rows:
    """The loose rows, taken from the front; more are read when those at hand do not suffice."""

    def __init__(self, reader: Reader, series: Series, after: Ordered | None, some: int) -> None:
        self._reader, self._series, self._some = reader, series, some
        self._found: list[Ordered] = []
        self._last, self._all = after, False
        self._more()

    def until(self, point: Ordered, *, inclusive: bool) -> list[Ordered]:
        """Those before a point, or at it too."""
        while not self._all and (not self._found or self._found[-1] <= point):
            self._more()
        end = bisect_right(self._found, point)
        if not inclusive and end and self._found[end - 1] == point:
            end -= 1
        taken, self._found = self._found[:end], self._found[end:]
        return taken

    def rest(self) -> list[Ordered]:
        """The next of those that are left."""
        if not self._found and not self._all:
            self._more()
        taken, self._found = self._found, []
        return taken

    def _more(self) -> None:
        rows = rows_after(self._reader, self._series, self._last, self._some)
        self._all = len(rows) < self._some
        self._some = min(2 * self._some, MOST_ROWS)
        self._last = rows[-1] if rows else self._last
        self._found = self._found + rows
