"""Lengths of time as text."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.durations import MAX_DURATION, format_duration, parse_duration
from mainspring.core.errors import Invalid


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1.5h", timedelta(minutes=90)),
        ("3 days", timedelta(days=3)),
        ("1 week", timedelta(days=7)),
        ("0s", timedelta(0)),
    ],
)
def test_a_number_and_a_unit_are_a_length_of_time(text: str, length: timedelta) -> None:
    """Letters and whole words name the units."""
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text",
    ["", "2", "h", "-2h", "2 months", "2H", "2h\n", "1e3s", "٣h", "9" * 400 + "s", "200000w"],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    """A bad text gives the one error code and shows how to write it."""
    with pytest.raises(Invalid) as caught:
        parse_duration(text)
    assert caught.value.code == "core.bad_duration"
    assert "'2h'" in caught.value.hint


@given(st.timedeltas(timedelta(0), MAX_DURATION))
def test_a_formatted_length_reads_back_as_itself(length: timedelta) -> None:
    """Writing and reading loses nothing, to the microsecond."""
    assert parse_duration(format_duration(length)) == length
