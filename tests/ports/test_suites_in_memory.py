"""The in-memory workspace keeps the same promises as the adapters it stands in for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mainspring.testing import (
    ClockSuite,
    DatabaseSuite,
    FakeClock,
    MemoryObjects,
    ObjectsSuite,
    QueueSuite,
    memory_ports,
)


@pytest.fixture
def ports():
    with memory_ports() as ports:
        yield ports


class TestMemoryObjects(ObjectsSuite):
    """Objects in a dictionary."""

    @pytest.fixture
    def objects(self):
        return MemoryObjects()


class TestDatabaseInMemory(DatabaseSuite):
    """SQLite without a file."""

    @pytest.fixture
    def database(self, ports):
        return ports.database


class TestQueueInMemory(QueueSuite):
    """The queue on it."""

    @pytest.fixture
    def database(self, ports):
        return ports.database

    @pytest.fixture
    def queue(self, ports):
        return ports.queue

    @pytest.fixture
    def clock(self, ports):
        return ports.clock


class TestFakeClock(ClockSuite):
    """The clock that tests set."""

    @pytest.fixture
    def clock(self):
        return FakeClock()


def test_the_fake_clock_moves_by_hand():
    """It stands still, goes forward when told, and a jump back leaves the monotonic reading."""
    clock = FakeClock(datetime(2020, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now()
    assert clock.advance(1.5) == datetime(2020, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    clock.advance(timedelta(days=1))
    clock.set(datetime(2019, 1, 1, tzinfo=UTC))
    assert clock.monotonic_seconds() == pytest.approx(86_401.5)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        clock.set(datetime(2019, 1, 1))  # noqa: DTZ001 - the case under test
