"""Cron expressions of five fields, in UTC: which numbers a field allows, and when one is next due.

Source: POSIX crontab; and names, ranges with steps, and 7 for Sunday, as in Vixie cron.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple

from mainspring.core.errors import Invalid

_MONTHS: Final = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_ITEM: Final = re.compile(
    r"(\*|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?"
)
_MINUTE: Final = timedelta(minutes=1)
# The 29th of February stays away longest: from 2096 to 2104, as 2100 is no leap year.
_LONGEST_DAYS: Final = 8 * 366
_SUNDAY: Final = 7


class Field(NamedTuple):
    """One of the five fields: its bounds, and the words that stand for numbers."""

    name: str
    low: int
    high: int
    words: dict[str, int]


FIELDS: Final = (
    Field("minute", 0, 59, {}),
    Field("hour", 0, 23, {}),
    Field("day of the month", 1, 31, {}),
    Field("month", 1, 12, {word: number for number, word in enumerate(_MONTHS, 1)}),
    Field("day of the week", 0, 7, {word: number for number, word in enumerate(_DAYS)}),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed expression. ``either`` says that one of the two kinds of day is enough.

    That is so when both are restricted, as POSIX has it: ``0 0 13 * fri`` is every 13th and every
    Friday.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def on(self, day: date) -> bool:
        """Whether it is due at some time of this day."""
        by_date = day.day in self.days
        by_week = day.isoweekday() % 7 in self.weekdays
        met = (by_date or by_week) if self.either else (by_date and by_week)
        return met and day.month in self.months


def numbers(word: str, field: Field) -> frozenset[int] | None:
    """The numbers that one field allows, or None when the word is not such a field."""
    allowed: set[int] = set()
    for item in word.split(","):
        found = _ITEM.fullmatch(item)
        if found is None:
            return None
        first, last = _range(found, field)
        step = int(found[4] or 1)
        if not field.low <= first <= last <= field.high or step == 0:
            return None
        allowed.update(range(first, last + 1, step))
    return frozenset(allowed)


def _range(found: re.Match[str], field: Field) -> tuple[int, int]:
    def number(word: str) -> int:
        return field.words.get(word, int(word) if word.isdigit() else -1)

    if found[1] == "*":
        return field.low, field.high
    first = number(found[2])
    if found[3]:
        return first, number(found[3])
    return first, field.high if found[4] else first


def parse(expression: str) -> Schedule:
    """The schedule that the text says. Errors: ``cron.bad_expression``."""
    words = expression.lower().split()
    found = [numbers(word, field) for word, field in zip(words, FIELDS, strict=False)]
    sound = [one for one in found if one is not None]
    if len(words) != len(FIELDS) or len(sound) != len(FIELDS):
        raise Invalid(
            "cron.bad_expression",
            f"{expression[:80]!r} is no cron expression.",
            hint="Five fields: minute hour day month weekday, such as '0 4 * * mon'.",
        )
    minutes, hours, days, months, weekdays = sound
    return Schedule(
        minutes,
        hours,
        days,
        months,
        frozenset(day % _SUNDAY for day in weekdays),
        either="*" not in (words[2], words[4]),
    )


def next_after(expression: str, moment: datetime) -> datetime | None:
    """The first minute after the moment that all fields allow, in UTC; None when none ever comes.

    Errors: ``cron.bad_expression``.

    Example:
        >>> next_after("30 4 * * mon-fri", datetime(2026, 8, 1, tzinfo=UTC)).isoformat()
        '2026-08-03T04:30:00+00:00'
    """
    schedule = parse(expression)
    first = moment.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
    for day in _days(first.date()):
        if schedule.on(day):
            for hour in sorted(schedule.hours):
                for minute in sorted(schedule.minutes):
                    found = datetime.combine(day, time(hour, minute), UTC)
                    if found >= first:
                        return found
    return None


def _days(first: date) -> Iterator[date]:
    for number in range(_LONGEST_DAYS + 1):
        yield first + timedelta(days=number)


def last_between(expression: str, after: datetime, until: datetime) -> datetime | None:
    """The newest minute that is due later than ``after`` and not later than ``until``.

    Errors: ``cron.bad_expression``.
    """
    newest, found = None, next_after(expression, after)
    while found is not None and found <= until:
        newest, found = found, next_after(expression, found)
    return newest
