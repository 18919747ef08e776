"""The clock port: the machine's own time, and a clock that a replay sets."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_seconds(self) -> float:
        return time.monotonic()


class ReplayClock:
    """The time of a replay: it stands still until it is set, and never goes back."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def monotonic_seconds(self) -> float:
        return time.monotonic()

    def set(self, moment: datetime) -> None:
        """Moves the time forward; a moment already past is ignored, so a resumed replay may call it."""
        self._now = max(self._now, moment)
