"""A metric's points in columns: as JSON, and in the binary form of :mod:`mainspring.tracking.columns`."""

from __future__ import annotations

import msgspec

from mainspring.tracking.columns import Columns


class Points(msgspec.Struct):
    """Points by time and step, as columns of one length; NaN is null in JSON."""

    steps: list[int]
    times_ms: list[int]
    values: list[float]
    next_token: str | None = None


def columns(found: Columns, next_token: str | None) -> Points:
    """The points as columns."""
    return Points(found.steps.tolist(), found.times_ms.tolist(), found.values.tolist(), next_token)
