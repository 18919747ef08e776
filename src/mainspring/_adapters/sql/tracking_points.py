"""Writing of metric points: many at once as a block, single ones as rows until they are many.

What is packed is packed in the transaction that brings the points, and the work of it is bounded by
what it brings: a block's points for each block's points that come. Where points come in order (and
a little out of it, for the newest rows wait) each is moved once. Where they come in no order, a
share of them stays as rows, which a reader merges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, islice, repeat
from math import isnan
from operator import itemgetter
from typing import Final, NamedTuple

from mainspring._adapters.sql.fields import chunks
from mainspring._adapters.sql.tracking_blocks import (
    BLOCK,
    Series,
    add_blocks,
    apart,
    block_at,
    blocks_after,
    blocks_of,
    count_rows,
    newest_sizes,
    remove_blocks,
    remove_rows,
    rows_after,
    rows_between,
)
from mainspring.ports.database import Row, Transaction
from mainspring.tracking.columns import Columns, Ordered, columns_of, in_order, merged, nothing
from mainspring.tracking.types import Point

MOST_KNOWN: Final = 20_000  # series whose counts are remembered
_AT_ONCE: Final = 100  # metrics asked for in one statement
_GOLDEN: Final = 0.6180339887498949
_ROW: Final = (
    "INSERT INTO metric_rows (run, field, step, time_ms, value, nan) VALUES (?,?,?,?,?,?) "
    "ON CONFLICT DO NOTHING"
)
EMPTY: Final[Mapping[str, Columns]] = {}
_key = itemgetter(0)


class Sizes(NamedTuple):
    """When points are packed; tests take smaller ones."""

    block: int = BLOCK  # points that rows are packed at
    piece: int = 16  # points of one metric in one batch that are worth a block
    pieces: int = 16  # such blocks that come before the small ones among them are made one
    first: int = 64  # points of a metric that come before its rows are counted


class _Due:
    """What one process remembers of a series: a guess, for others write too and work is undone."""

    __slots__ = ("last", "pieces", "rows")

    def __init__(self, rows: int, pieces: int) -> None:
        self.rows, self.pieces = rows, pieces
        self.last: Ordered | None = None


class PointWriter:
    """Stores points. Concurrency: in the database's writer only."""

    def __init__(self, sizes: Sizes = Sizes()) -> None:  # noqa: B008 - frozen
        self._sizes = sizes
        self._due: dict[Series, _Due] = {}
        self._made = self._turns = 0

    def add(
        self,
        tx: Transaction,
        run: int,
        points: Sequence[Point],
        fields: Mapping[str, int],
        series: Mapping[str, Columns] = EMPTY,
    ) -> dict[int, Ordered]:
        """Stores points under the numbers of their metrics; of each metric the latest.

        ``series``: of metrics beside those of ``points``, each in order.
        """
        if len(points) == 1 and not series:
            return self._add_one(tx, run, points[0], fields[points[0][0]])
        loose, pieces = points, dict[int, Columns]()
        least = self._sizes.piece
        if len(points) >= least and len(points) - len(set(map(_key, points))) + 1 >= least:
            loose, pieces = self._parted(points, fields)
        pieces |= {fields[key]: columns for key, columns in series.items()}
        rows = _rows(run, loose, fields)
        rows.sort()
        counts = Counter(map(itemgetter(1), rows))
        latest = {row[1]: (row[3], row[2], row[4], row[5]) for row in rows}
        for field, columns in pieces.items():
            counts[field] = len(columns.steps)
            latest[field] = columns.greatest()
        behind = _behind(tx, run, pieces)
        for field, columns in pieces.items():
            if field not in behind:
                more = columns.rows()
                rows += [(run, field, step, at, value, nan) for at, step, value, nan in more]
        if rows:
            tx.many(_ROW, rows)
        if behind:
            parts = [(field, columns) for field, columns in pieces.items() if field in behind]
            add_blocks(tx, run, parts, 2 * self._sizes.block)
        self._tidy(tx, run, counts, behind)
        return latest

    def _add_one(self, tx: Transaction, run: int, point: Point, field: int) -> dict[int, Ordered]:
        _, value, step, time_ms = point
        nan = isnan(value)
        value = 0.0 if nan else value
        tx.many(_ROW, [(run, field, step, time_ms, value, int(nan))])
        due = self._due.get((run, field)) or self._new((run, field))
        due.rows -= 1
        if due.rows <= 0:
            self._pack(tx, run, {field: (due, 1)}, 1)
        return {field: (time_ms, step, value, int(nan))}

    def _parted(
        self, points: Sequence[Point], fields: Mapping[str, int]
    ) -> tuple[list[Point], dict[int, Columns]]:
        """Points of metrics of which there are few, and those of the others in columns."""
        loose: list[Point] = []
        pieces: dict[int, Columns] = {}
        for key, group in groupby(sorted(points, key=_key), _key):
            some = list(group)
            if len(some) < self._sizes.piece:
                loose += some
            else:
                _, values, steps, times_ms = zip(*some, strict=True)
                pieces[fields[key]] = in_order(steps, times_ms, values)
        return loose, pieces

    def _tidy(self, tx: Transaction, run: int, counts: Mapping[int, int], behind: set[int]) -> None:
        """Packs rows and joins small blocks where enough of them have come."""
        many_rows: dict[int, tuple[_Due, int]] = {}
        for field, count in counts.items():
            due = self._due.get((run, field)) or self._new((run, field))
            if field not in behind:
                due.rows -= count
                if due.rows <= 0:
                    many_rows[field] = (due, count)
                continue
            due.pieces -= 1
            if due.pieces <= 0:
                due.pieces = self._sizes.pieces
                join_newest(tx, (run, field), self._sizes)
        if many_rows:
            self._pack(tx, run, many_rows, 1 + 4 * sum(counts.values()) // self._sizes.block)

    def _new(self, series: Series) -> _Due:
        """Counts for a series not seen before, or forgotten since.

        Metrics that begin together should not have their blocks joined together, so each begins
        elsewhere (multiples of the golden ratio are spread evenly). With more series than can be
        remembered none would come to its end, so then their rows begin anywhere, too.
        """
        self._made += 1
        share = self._made * _GOLDEN % 1.0
        rows, pieces = self._sizes.first, 1 + int(share * self._sizes.pieces)
        if len(self._due) >= MOST_KNOWN:
            self._due.pop(next(iter(self._due)))
            rows = 1 + int(share * rows)
        due = self._due[series] = _Due(rows, pieces)
        return due

    def _pack(
        self, tx: Transaction, run: int, came: Mapping[int, tuple[_Due, int]], at_once: int
    ) -> None:
        """Packs rows until few are left, or as much was done as may be for the points that came.

        Metrics that are logged together have enough rows together: but a few must wait their turn.
        """
        block = self._sizes.block
        self._turns += 1
        start = int(self._turns * _GOLDEN % 1.0 * len(came))
        fields = [*islice(came, start, None), *islice(came, start)]
        for place, field in enumerate(fields):
            came[field][0].rows = place // at_once
        moves = {field: 2 + 2 * came[field][1] // block for field in fields[:at_once]}
        counted: dict[int, int] = {}
        for some in chunks(list(moves)):
            counted |= count_rows(
                tx, run, {field: 2 * block * (moves[field] + 1) for field in some}
            )
        for field, count in counted.items():
            due, left = came[field][0], count
            for _ in range(moves[field]):
                if left < 2 * block:
                    break
                moved, due.last = _move(tx, (run, field), due.last, left - block, block=block)
                left -= moved
            due.rows = max(2 * block - left, block)


def _rows(run: int, points: Sequence[Point], fields: Mapping[str, int]) -> list[Row]:
    """Points as (run, field, step, time, value, nan), without a Python call for each."""
    keys, values, steps, times = (list(map(itemgetter(place), points)) for place in range(4))
    nans: Iterable[int] = repeat(0)
    if any(map(isnan, values)):
        nans = list(map(int, map(isnan, values)))
        values = [0.0 if nan else value for value, nan in zip(values, nans, strict=True)]
    numbers = map(fields.__getitem__, keys)
    return list(zip(repeat(run), numbers, steps, times, values, nans, strict=False))


def _behind(tx: Transaction, run: int, pieces: Mapping[int, Columns]) -> set[int]:
    """The metrics whose new points can be a block."""
    spans = [
        (field, columns.ordered(0), columns.ordered(len(columns.steps) - 1))
        for field, columns in pieces.items()
    ]
    found: set[int] = set()
    for start in range(0, len(spans), _AT_ONCE):
        found |= apart(tx, run, spans[start : start + _AT_ONCE])
    return found


def _move(
    tx: Transaction, series: Series, last: Ordered | None, most: int, *, block: int
) -> tuple[int, Ordered]:
    """Moves the next rows into one place between or inside the blocks; how many, and their last."""
    first = (rows_after(tx, series, last, 1) or rows_after(tx, series, None, 1))[0]
    before = block_at(tx, series, first)
    following = blocks_after(tx, series, first, 1)
    until = following[0].first if following else None
    mine = rows_between(tx, series, first, until, min(2 * block, most))
    partner = None
    if before is not None and (before.last >= first or len(mine) < block // 4):
        partner = before
    elif len(mine) < block // 4 and following:
        partner = following[0]
    found = mine
    if partner is not None:
        found = merged(partner.columns().rows(), mine)
        remove_blocks(tx, [partner.id])
    add_blocks(tx, series[0], [(series[1], columns_of(found))], 2 * block)
    remove_rows(tx, series, mine[0], mine[-1])
    return len(mine), mine[-1]


def join_newest(tx: Transaction, series: Series, sizes: Sizes) -> None:
    """Makes one of neighbours among the newest blocks that are small; no point is looked at."""
    most, group, size = 2 * sizes.block, list[int](), 0
    for id_, points in [*newest_sizes(tx, series, 3 * sizes.pieces), (0, most)]:
        small = points < sizes.block // 2
        if small and size + points <= most:
            group.append(id_)
            size += points
            continue
        if len(group) > 1:
            joined = nothing()
            for block in blocks_of(tx, group):
                joined.extend(block.columns())
            remove_blocks(tx, group)
            add_blocks(tx, series[0], [(series[1], joined)], most)
        group, size = ([id_], points) if small else ([], 0)
