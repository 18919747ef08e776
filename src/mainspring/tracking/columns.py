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
from itertools import repeat
from typing import Final, NamedTuple

from mainspring.core.errors import Broken
from mainspring.tracking.types import Point

MEDIA_TYPE: Final = "application/vnd.mainspring.points"
HEAD: Final = struct.Struct("<4sIQ")
MARK: Final = b"MSPT"
FORMAT: Final = 1


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


def pack(columns: Columns) -> bytes:
    """The binary form."""
    parts = [column.tobytes() for column in _little(columns)]
    return HEAD.pack(MARK, FORMAT, len(columns.steps)) + b"".join(parts)


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
