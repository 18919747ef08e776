from __future__ import annotations

from array import array
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.errors import Broken
from mainspring.tracking.columns import HEAD, Columns, columns_of, in_order, pack, unpack

WHOLE = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(st.tuples(WHOLE, WHOLE, st.floats()), max_size=20)


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


@given(ROWS)
def test_points_in_order_are_columns_and_back(rows: list[tuple[int, int, float]]) -> None:
    """Ordered points become columns and the same points again; those after one are the rest."""
    points = sorted({(t, s, 0.0 if isnan(v) else v, int(isnan(v))) for s, t, v in rows})
    found = columns_of(points)
    assert found.rows() == points
    for place, point in enumerate(points):
        assert found.ordered(place) == point
        assert found.after(point).rows() == points[place + 1 :]


@given(ROWS)
def test_points_of_any_order_are_in_order_once_each(rows: list[tuple[int, int, float]]) -> None:
    """As sorted and without duplicates; the latest is the greatest by step, time and value."""
    steps, times, values = map(list, zip(*rows, strict=True)) if rows else ([], [], [])
    found = in_order(steps + steps, times + times, values + values)
    key = [(t, s, 0.0 if isnan(v) else v, int(isnan(v))) for s, t, v in rows]
    assert found.rows() == sorted(set(key))
    if key:
        assert found.greatest() == max(key, key=lambda one: (one[1], one[0], one[2:]))
        assert in_order(*found).rows() == found.rows()
