"""A metric's points in columns: as JSON, and as bytes that an array library reads without parsing.

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
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import msgspec

from mainspring.tracking import Point

MEDIA_TYPE: Final = "application/vnd.mainspring.points"
HEAD: Final = struct.Struct("<4sIQ")
MARK: Final = b"MSPT"
FORMAT: Final = 1


class Points(msgspec.Struct):
    """Points by time and step, as columns of one length."""

    steps: list[int]
    times_ms: list[int]
    values: list[float]
    next_token: str | None = None


def columns(points: Sequence[Point], next_token: str | None) -> Points:
    """The points as columns."""
    values, steps, times = (list(map(itemgetter(place), points)) for place in (1, 2, 3))
    return Points(steps, times, values, next_token)


def pack(points: Sequence[Point]) -> bytes:
    """The points in the binary form."""
    values, steps, times = (map(itemgetter(place), points) for place in (1, 2, 3))
    parts = [array("q", steps), array("q", times), array("d", values)]
    if sys.byteorder == "big":
        for part in parts:
            part.byteswap()
    return HEAD.pack(MARK, FORMAT, len(points)) + b"".join(part.tobytes() for part in parts)
