"""A number with its interval, as a value."""

from __future__ import annotations

from msgspec import Struct


class Estimate(Struct, frozen=True, kw_only=True):
    """A number with its interval.

    ``value`` is None where undefined; ``low`` and ``high`` are None too with a single cluster or
    when most draws were undefined. ``draws`` counts the defined ones.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    draws: int
    confidence: float
