"""A metric's points in columns, and the bytes that they travel as.

The binary form, all little-endian::

    "MSPT"  u32 format = 1  u64 count
    count x int64    steps
    count x int64    times in milliseconds since 1970
    count x float64  values (NaN is NaN)
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice, repeat
from math import isnan
from operator import eq, itemgetter, lt
from typing import Any, Final, NamedTuple

from mainspring.core.errors import Broken
from mainspring.tracking.types import Point

MEDIA_TYPE: Final = "application/vnd.mainspring.points"
HEAD: Final = struct.Struct("<4sIQ")
MARK: Final = b"MSPT"
FORMAT: Final = 1
Ordered = tuple[int, int, float, int]
"""A point as it is ordered: time, step, value (0 for NaN), and 1 for NaN."""
_NAN: Final = float("nan")


class Columns(NamedTuple):
    """Points by time and step, as arrays of one length: numpy reads them without a copy."""

    steps: array[int]
    times_ms: array[int]
    values: array[float]

    def first(self, count: int) -> Columns:
        """At most so many points from the front."""
        if len(self.steps) <= count:
            return self
        return Columns(self.steps[:count], self.times_ms[:count], self.values[:count])

    def after(self, point: Ordered) -> Columns:
        """The points that come after one in order."""
        start = bisect_right(range(len(self.steps)), point, key=self.ordered)
        return Columns(self.steps[start:], self.times_ms[start:], self.values[start:])

    def ordered(self, place: int) -> Ordered:
        """The point at a place, as it is ordered."""
        value = self.values[place]
        nan = isnan(value)
        return (self.times_ms[place], self.steps[place], 0.0 if nan else value, int(nan))

    def greatest(self) -> Ordered:
        """The point that counts as the latest: the last of those with the greatest step."""
        steps = self.steps
        top = max(steps)
        place = len(steps) - 1
        if steps[place] != top:
            place -= steps[::-1].index(top)
        return self.ordered(place)

    def rows(self) -> list[Ordered]:
        """All points, as they are ordered."""
        if any(map(isnan, self.values)):
            return list(map(self.ordered, range(len(self.steps))))
        return list(zip(self.times_ms, self.steps, self.values, repeat(0), strict=False))

    def extend(self, more: Columns) -> None:
        """Puts the points of a later part behind these."""
        self.steps.extend(more.steps)
        self.times_ms.extend(more.times_ms)
        self.values.extend(more.values)

    def __add__(self, more: object) -> Columns:
        """These points and then those of another part of the same history."""
        if not isinstance(more, Columns):
            return NotImplemented
        return Columns(
            self.steps + more.steps, self.times_ms + more.times_ms, self.values + more.values
        )

    def points(self, key: str) -> tuple[Point, ...]:
        """The points one by one, made without a Python call for each."""
        fields = zip(repeat(key), self.values, self.steps, self.times_ms, strict=False)
        return tuple(map(tuple.__new__, repeat(Point), fields))


def nothing() -> Columns:
    """Columns without a point, to be extended."""
    return Columns(array("q"), array("q"), array("d"))


def columns_of(rows: Sequence[Ordered | tuple[Any, ...]]) -> Columns:
    """Points in order as columns, without a Python call for each unless one is NaN."""
    values = array("d", map(itemgetter(2), rows))
    if any(map(itemgetter(3), rows)):
        values = array("d", [_NAN if row[3] else row[2] for row in rows])
    steps = array("q", map(itemgetter(1), rows))
    return Columns(steps, array("q", map(itemgetter(0), rows)), values)


def merged(some: Sequence[Ordered], more: Sequence[Ordered]) -> list[Ordered]:
    """Two lists in order as one, each point once."""
    rows = sorted([*some, *more])
    if any(map(eq, rows, islice(rows, 1, None))):
        return list(dict.fromkeys(rows))
    return rows


def in_order(steps: Sequence[int], times_ms: Sequence[int], values: Sequence[float]) -> Columns:
    """Points of one metric in order, each once; most come so, and are then only copied."""
    later = list(times_ms)
    rising = all(map(lt, steps, islice(steps, 1, None))) and sorted(later) == later
    if rising or all(map(lt, later, islice(later, 1, None))):
        return Columns(_array("q", steps), _array("q", later), _array("d", values))
    nans = map(isnan, values)
    return columns_of(
        sorted(
            {
                (time_ms, step, 0.0 if nan else value, int(nan))
                for time_ms, step, value, nan in zip(times_ms, steps, values, nans, strict=True)
            }
        )
    )


def _array(code: str, numbers: Sequence[Any]) -> array[Any]:
    """Numbers as an array, in half the time that it takes for itself."""
    made = array(code)
    made.frombytes(struct.pack(f"={len(numbers)}{code}", *numbers))
    return made


def pack(columns: Columns) -> bytes:
    """The binary form."""
    return b"".join((HEAD.pack(MARK, FORMAT, len(columns.steps)), *_little(columns)))


def unpack(data: bytes) -> Columns:
    """The columns of the binary form. Errors: ``tracking.bad_points``."""
    whole = len(data) >= HEAD.size
    mark, form, count = HEAD.unpack_from(data) if whole else (b"", 0, 0)
    if (mark, form) != (MARK, FORMAT) or len(data) != HEAD.size + 24 * count:
        raise Broken(
            "tracking.bad_points",
            "The bytes are not a metric's points in a form that is known here.",
            hint="Is the server of a newer version? Ask it for JSON.",
        )
    found, size = Columns(array("q"), array("q"), array("d")), 8 * count
    found.steps.frombytes(data[HEAD.size : HEAD.size + size])
    found.times_ms.frombytes(data[HEAD.size + size : HEAD.size + 2 * size])
    found.values.frombytes(data[HEAD.size + 2 * size :])
    return _little(found)


def _little(columns: Columns) -> Columns:
    """The columns in little-endian order, or back from it."""
    if sys.byteorder == "little":
        return columns
    turned = Columns(columns.steps[:], columns.times_ms[:], columns.values[:])
    for column in turned:
        column.byteswap()
    return turned
