"""How long something takes by itself, on a machine that others use as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_TIMES = 10


def shortest(call: Callable[[], T], enough_seconds: float) -> tuple[T, float]:
    """What a call brings, and the shortest of up to ten times that it took, in seconds.

    What takes long by itself does so each time; what had to wait for others does not. So the first
    time that is below ``enough_seconds`` decides, and a failure means that none of ten was.
    """
    best = float("inf")
    for _ in range(_TIMES):
        started = time.perf_counter()
        found = call()
        best = min(best, time.perf_counter() - started)
        if best < enough_seconds:
            break
    return found, best
