"""A series of numbers in one line of text: eight heights of a block.

Source: E. Tufte, Beautiful Evidence (2006), "Sparklines: intense, simple, word-sized graphics".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

BLOCKS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 24
_MISSING: Final = "·"


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """The series at most ``width`` letters wide; what is not finite is a dot.

    Of a longer series each letter shows the mean of its share, so a trend stays a trend.

    Example:
        >>> sparkline([1.0, 2.0, 3.0, 2.0, 1.0])
        '▁▅█▅▁'
    """
    means = [_mean(part) for part in _parts(values, width)]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join(_letter(mean, low, high) for mean in means)


def _parts(values: Sequence[float], width: int) -> list[Sequence[float]]:
    count = min(len(values), width)
    edges = [round(i * len(values) / count) for i in range(count + 1)] if count else []
    return [values[start:end] for start, end in pairwise(edges)]


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    # Each share first: the greatest numbers would overflow as a sum.
    return math.fsum(value / len(finite) for value in finite) if finite else math.nan


def _letter(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return _MISSING
    span = high / 2 - low / 2  # halves: the span itself may exceed a double
    if span <= 0:
        return BLOCKS[3]
    share = (value / 2 - low / 2) / span
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]
