"""The time, passed in: the same code runs today and replays last year."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Now, for facts; and a monotonic reading, for leases and deadlines."""

    def now(self) -> datetime:
        """The aware UTC moment."""
        ...

    def monotonic_seconds(self) -> float:
        """Seconds since some fixed point; never goes back."""
        ...
