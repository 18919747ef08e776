"""A clock that stands still until it is told to move."""
# ruff: noqa: PLR2004 - the numbers of a test case are its own names

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from mainspring.ports.clock import Clock
from mainspring.testing.promises import ensure

START: Final = datetime(2024, 1, 1, tzinfo=UTC)


class FakeClock:
    """The clock port by hand: ``advance`` moves both readings, ``set`` only the moment.

    Concurrency: one thread moves it, any may read it.
    """

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock tells aware moments: give the start a time zone")
        self._now = start.astimezone(UTC)
        self._monotonic_seconds = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic_seconds(self) -> float:
        return self._monotonic_seconds

    def advance(self, length: timedelta | float) -> datetime:
        """The new moment, later by a length of time (or a number of seconds)."""
        step = length if isinstance(length, timedelta) else timedelta(seconds=length)
        if step < timedelta(0):
            raise ValueError("time goes forward; set() jumps back, as a wall clock may")
        self._now += step
        self._monotonic_seconds += step.total_seconds()
        return self._now

    def set(self, moment: datetime) -> None:
        """Jumps to any moment, also back; the monotonic reading stays."""
        if moment.tzinfo is None:
            raise ValueError("a clock tells aware moments: give it a time zone")
        self._now = moment.astimezone(UTC)


class ClockSuite:
    """Inherit, and give ``clock``: the clock to test."""

    def test_moments_are_aware_and_in_utc(self, clock: Clock) -> None:
        """Every moment carries its zone, and the zone is UTC."""
        ensure(clock.now().utcoffset() == timedelta(0))

    def test_the_monotonic_reading_never_goes_back(self, clock: Clock) -> None:
        """A later reading is not smaller."""
        readings = [clock.monotonic_seconds() for _ in range(1000)]
        ensure(readings == sorted(readings))
