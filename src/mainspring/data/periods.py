"""Periods of a dataset: their names, and the stretch of time that each one is. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from mainspring.data.sql import literal, quoted
from mainspring.data.types import Dataset

_FORMATS: Final = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
NONE: Final = "none"  # rows without a time; all of them are set aside


def expression(spec: Dataset) -> str:
    """The SQL of a row's period, by its event time in the dataset's zone."""
    if spec.time is None or spec.period == "all":
        return "'all'"
    moment = f"CAST({quoted(spec.time)} AS TIMESTAMPTZ) AT TIME ZONE {literal(spec.timezone)}"
    return f"coalesce(strftime({moment}, {literal(_FORMATS[spec.period])}), {literal(NONE)})"


def bounds(period: str, timezone: str = "UTC") -> tuple[datetime, datetime] | None:
    """From when until when a period lasts, the end excluded; None for ``all`` and ``none``.

    Example:
        >>> bounds("2013-12", "America/New_York")[1].isoformat()
        '2014-01-01T05:00:00+00:00'
    """
    if period in {"all", NONE}:
        return None
    first, after = _days(period)
    zone = ZoneInfo(timezone)
    start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, after))
    return start, end


def _days(period: str) -> tuple[date, date]:
    """The first day of a period, and the first day after it."""
    if "W" in period:
        year, week = period.split("-W")
        monday = date.fromisocalendar(int(year), int(week), 1)
        return monday, monday + timedelta(days=7)
    if period.count("-") == len(("month", "day")):
        day = date.fromisoformat(period)
        return day, day + timedelta(days=1)
    first = date.fromisoformat(f"{period}-01")
    return first, (first + timedelta(days=31)).replace(day=1)


def condition(spec: Dataset, period: str) -> str:
    """The SQL that holds for the stored rows of a period, and for no others."""
    stretch = bounds(period, spec.timezone)
    if stretch is None or spec.time is None:
        return "true"
    low, high = (f"'{moment:%Y-%m-%dT%H:%M:%SZ}'" for moment in stretch)
    return f"{quoted(spec.time)} >= {low} AND {quoted(spec.time)} < {high}"
