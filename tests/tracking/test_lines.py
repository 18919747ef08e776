"""The queue of a run: what calls put there is what the recorder takes, whatever came between."""

from __future__ import annotations

import threading
from math import isnan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.errors import Invalid
from mainspring.core.ids import RunId
from mainspring.tracking.lines import MOST_POINTS, Line, Record
from mainspring.tracking.types import Batch, Point

NAMES = st.lists(st.sampled_from("abc"), unique=True, max_size=3).map(tuple)
CALL = st.tuples(NAMES, st.integers(-3, 40), st.integers(0, 60), st.floats(allow_nan=True))
Seen = tuple[str, int, int, float | None]


def line() -> Line:
    return Line(RunId("r"))


def put(queue: Line, names: tuple[str, ...], step: int, time_ms: int, value: float) -> None:
    queue.calls.append((names, step, time_ms * 1_000_000 + 999_999, *[value] * len(names)))


def taken(queue: Line) -> list[Seen]:
    """All points that the records hold, in series too; a NaN is None."""
    found: list[Seen] = []
    while (record := queue.take()) is not None:
        batch = record.batch()
        found += [(key, step, at, seen(value)) for key, value, step, at in batch.points]
        for key, columns in batch.series.items():
            assert not any(point[0] == key for point in batch.points)
            found += [(key, step, at, seen(v)) for step, at, v in zip(*columns, strict=True)]
    return found


def seen(value: float) -> float | None:
    return None if isnan(value) else value


@given(st.lists(CALL, max_size=120))
def test_each_point_of_each_call_is_taken(calls: list[tuple[tuple[str, ...], int, int, float]]):
    """Of names that come together or apart, few or many, in any order; duplicates count once."""
    queue = line()
    for call in calls:
        put(queue, *call)
    expected = {(name, step, at, seen(value)) for names, step, at, value in calls for name in names}
    assert set(taken(queue)) == expected


def test_many_points_in_order_are_columns_and_few_are_points():
    """A record's series are in the order of a history."""
    queue = line()
    for step in range(100):
        put(queue, ("many",), step, step // 7, 0.5)
    put(queue, ("few",), 1, 1, 0.5)
    record = queue.take()
    assert record is not None
    assert [point[0] for point in record.points] == ["few"]
    rows = record.batch().series["many"].rows()
    assert rows == sorted(rows)
    assert len(rows) == 100


@pytest.mark.parametrize("wide", [1, 50, 3000])
def test_a_record_is_bounded_by_its_points(wide: int):
    """However many values a call has; what is left comes with the next."""
    queue = line()
    names = tuple(f"m{i}" for i in range(wide))
    calls = 3 * MOST_POINTS // wide
    for step in range(calls):
        put(queue, names, step, step, 0.5)
    sizes = []
    while (record := queue.take()) is not None:
        sizes.append(record.batch().size)
    assert sum(sizes) == calls * wide
    assert max(sizes) <= MOST_POINTS + wide
    assert len(sizes) >= 3


def test_calls_of_many_threads_are_taken_once_each():
    """While one takes, others put: nothing is lost and nothing comes twice."""
    queue, found, done = line(), list[Seen](), threading.Event()

    def write(number: int) -> None:
        for step in range(5_000):
            put(queue, (f"m{number}",), step, 0, 0.5)

    def read() -> None:
        while not done.is_set() or queue.calls:
            found.extend(taken(queue))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert len(found) == len(set(found)) == 20_000


def test_names_are_known_in_bounded_memory():
    """A loop that makes up names forgets the old ones; one that cannot be stored is refused."""
    queue = line()
    for number in range(2_500):
        queue.know((f"m{number}",), 0)
    assert len(queue.known) <= 1_000
    with pytest.raises(Invalid, match="name"):
        queue.know(("a\0b",), 0)


def test_a_record_that_an_earlier_version_spooled_is_read():
    """It has no series; its points are logged as they were."""
    spooled = ["r", [["m", 0.5, 2, 3]], [["p", "1"]], [["t", "x"]], None]
    record = msgspec.msgpack.decode(msgspec.msgpack.encode(spooled), type=Record)
    assert record.batch() == Batch(
        points=(Point("m", 0.5, 2, 3),), params=(("p", "1"),), tags=(("t", "x"),)
    )
