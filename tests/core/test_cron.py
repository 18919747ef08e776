"""When a schedule is next due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.cron import FIELDS, last_between, next_after, parse
from mainspring.core.errors import Invalid

MINUTE = timedelta(minutes=1)
MOMENTS = st.integers(631152000, 4102444800).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)


@st.composite
def words(draw, field, least=None):
    """A word of a field, and the numbers that it stands for."""
    first = draw(st.integers(field.low, field.high))
    last = draw(st.integers(first, field.high))
    step = draw(st.integers(1, 40))
    everything = range(field.low, field.high + 1)
    return draw(
        st.sampled_from(
            [
                ("*", set(everything)),
                (f"*/{step}", set(everything[::step])),
                (f"{first}", {first}),
                (f"{first}-{last}/{step}", set(range(first, last + 1, step))),
                (f"{first},{last}", {first, last}),
            ]
        )
    )


FIVE = st.tuples(*(words(field) for field in FIELDS))


def allows(five, moment):
    """The promise of cron, written down a second time, field by field."""
    (_, minutes), (_, hours), (day, days), (_, months), (weekday, weekdays) = five
    by_date, by_week = (
        moment.day in days,
        bool({moment.isoweekday() % 7, moment.isoweekday()} & weekdays),
    )
    either = day != "*" and weekday != "*"
    return (
        moment.minute in minutes
        and moment.hour in hours
        and moment.month in months
        and ((by_date or by_week) if either else (by_date and by_week))
    )


@given(FIVE, MOMENTS)
def test_the_next_minute_meets_every_field(five, moment):
    """What is found is later than the moment, a whole minute, and allowed by all fields."""
    found = next_after(" ".join(word for word, _ in five), moment)
    if found is not None:
        assert found > moment
        assert (found.second, found.microsecond) == (0, 0)
        assert allows(five, found)


@given(FIVE, MOMENTS)
def test_no_minute_before_it_is_due(five, moment):
    """Of the next three hundred minutes, none before the one found meets the fields."""
    found = next_after(" ".join(word for word, _ in five), moment)
    first = moment.replace(second=0, microsecond=0) + MINUTE
    due = [first + n * MINUTE for n in range(300) if allows(five, first + n * MINUTE)]
    if due:
        assert found == due[0]
    else:
        assert found is None or found >= first + 300 * MINUTE


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("30 4 * * mon-fri", "2026-08-01T00:00Z", "2026-08-03T04:30Z"),
        ("0 0 * * 7", "2026-08-01T00:00Z", "2026-08-02T00:00Z"),
        ("0 0 29 2 *", "2096-03-01T00:00Z", "2104-02-29T00:00Z"),
        ("0 0 13 * fri", "2026-08-08T00:00Z", "2026-08-13T00:00Z"),
        ("5/20 * * JAN *", "2026-01-01T00:05Z", "2026-01-01T00:25Z"),
    ],
)
def test_known_days(expression, after, expected):
    """Names, Sunday as 7, the leap day past 2100, either kind of day, open ranges with steps."""
    moment = datetime.fromisoformat(after)
    assert next_after(expression, moment) == datetime.fromisoformat(expected)


def test_a_day_that_never_comes_is_none():
    """The 30th of February is not looked for without end."""
    assert next_after("0 0 30 2 *", datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_what_is_no_expression_is_refused():
    """A wrong field or count of fields is an error, not a guess."""
    for text in ("", "* * * *", "* * * * * *", "60 * * * *"):
        with pytest.raises(Invalid):
            parse(text)


def test_the_newest_due_minute_of_a_span():
    """The end of the span counts, its start does not."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert last_between("0 * * * *", noon - timedelta(hours=3), noon) == noon
    assert last_between("0 12 * * *", noon, noon + timedelta(hours=23)) is None
