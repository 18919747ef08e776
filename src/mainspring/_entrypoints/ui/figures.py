"""Numbers, moments and sizes as a reader wants to see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from mainspring.core.time import EPOCH

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000


def number(value: float | None) -> str:
    """A number in at most six digits; its exact value is in the data."""
    return "" if value is None else f"{value:.6g}"


def moment(value: int | datetime | None) -> str:
    """A moment (or milliseconds since 1970) in UTC, to the second."""
    if value is None:
        return ""
    if not isinstance(value, datetime):
        try:
            value = EPOCH + timedelta(milliseconds=value)
        except OverflowError:
            return f"{value} ms"
    return value.strftime("%Y-%m-%d %H:%M:%S")


def moment_of(text: str | None) -> str:
    """A moment that stands as RFC 3339 text, like any other; a day, and any other text, as it is.

    Example:
        >>> moment_of("2024-08-27T05:17:41.000001+02:00")
        '2024-08-27 03:17:41'
    """
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return text or ""
    return moment(found.astimezone(UTC)) if found.tzinfo else str(text)


def whole(value: int | None) -> str:
    """A count, with its thousands apart."""
    return "" if value is None else f"{value:,}"


def span(start_ms: int, end_ms: int | None) -> str:
    """How long something took.

    Example:
        >>> span(0, 3_723_000)
        '1 h 2 min'
    """
    if end_ms is None or end_ms < start_ms:
        return ""
    seconds = (end_ms - start_ms) / 1000
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    return f"{int(seconds // _DAY)} d {int(seconds % _DAY // _HOUR)} h"


def size(size_bytes: int) -> str:
    """A number of bytes in decimal units."""
    amount, unit = float(size_bytes), 0
    while amount >= _THOUSAND and unit < len(_UNITS) - 1:
        amount, unit = amount / _THOUSAND, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"
