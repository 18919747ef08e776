"""Moments as aware UTC datetimes, and their stored form: whole microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970-01-01T00:00Z; exact, no floats on the way."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC moment of a stored number of microseconds."""
    return EPOCH + timedelta(microseconds=micros)


def to_iso(moment: datetime) -> str:
    """RFC 3339 in UTC with a ``Z``, as every document and record carries it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
