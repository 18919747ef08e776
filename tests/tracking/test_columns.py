from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracking_workspace import Counting

from mainspring.core.errors import Broken
from mainspring.tracking import Batch, Point, Tracking
from mainspring.tracking.columns import HEAD, Columns, pack, unpack

WHOLE = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(st.tuples(WHOLE, WHOLE, st.floats()), max_size=20)
LONG = 6_000


def columns(rows: list[tuple[int, int, float]]) -> Columns:
    steps, times, values = zip(*rows, strict=True) if rows else ((), (), ())
    return Columns(array("q", steps), array("q", times), array("d", values))


@given(ROWS)
def test_the_binary_form_keeps_every_bit(rows: list[tuple[int, int, float]]) -> None:
    """What was packed comes back the same, bit by bit, NaN and infinities included."""
    found = columns(rows)
    again = unpack(pack(found))
    assert [part.tobytes() for part in again] == [part.tobytes() for part in found]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MSPT",
        HEAD.pack(b"MSPT", 1, 1),
        HEAD.pack(b"MSPT", 2, 0),
        HEAD.pack(b"JSON", 1, 0),
        HEAD.pack(b"MSPT", 1, 2**60),
        HEAD.pack(b"MSPT", 1, 0) + b"x",
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    """Torn, foreign and newer forms are an error, never half the points."""
    with pytest.raises(Broken) as caught:
        unpack(data)
    assert caught.value.code == "tracking.bad_points"


def test_a_history_that_was_read_is_kept_until_it_grows(tracking: Tracking) -> None:
    """The next who asks gets it without reading the points; a new one, also between, is seen."""
    run = tracking.runs.create("0")

    def log(*points: Point) -> None:
        tracking.runs.log(run.id, Batch(points=points), most_points=2 * LONG).result()

    def read() -> tuple[int, Columns]:
        def work(reader: object) -> tuple[int, Columns]:
            counting = Counting(reader)
            place = tracking.runs.store.place(counting, run.id)
            assert place is not None
            found = tracking.runs.store.history(counting, place, "m", after=None, limit=10**6)
            return counting.rows, found

        return tracking.runs.database.read(work)

    log(*(Point("m", i / 7, 2 * i, i) for i in range(LONG)))
    first_rows, first = read()
    assert first_rows >= LONG
    again_rows, again = read()
    assert again_rows < 10
    assert again == first
    log(Point("m", 8.0, 2 * LONG, LONG - 1), Point("m", 9.0, 2 * LONG + 1, LONG))
    more_rows, more = read()
    assert more_rows < 10
    assert more.points("m")[:-2] == first.points("m")
    assert more.values[-2:].tolist() == [8.0, 9.0]
    log(Point("m", 7.0, 3 * LONG, 0))  # a later step, an earlier time
    early_rows, early = read()
    assert early_rows > LONG
    assert early.values[:2].tolist() == [0.0, 7.0]
    log(Point("m", math.nan, 5, 2))
    rows, grown = read()
    assert rows > LONG
    assert grown.times_ms[:6].tolist() == [0, 0, 1, 2, 2, 3]
    assert math.isnan(grown.values[4])
    assert grown.first(2).steps.tolist() == [0, 3 * LONG]
