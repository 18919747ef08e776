"""Lengths of time as people write them (``90s``, ``2h``, ``3d``), and as Python counts them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from mainspring.core.errors import Invalid

_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) *([a-z]+)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNITS: Final = {
    word: seconds
    for letter, seconds in _SECONDS.items()
    for long in [{"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}[letter]]
    for word in (letter, long, long + "s")
}
MAX_DURATION: Final = timedelta(days=36_525)  # a hundred years: any more is a slip of the pen


def parse_duration(text: str) -> timedelta:
    """The length of time that a text such as ``"2h"``, ``"1.5d"`` or ``"2 weeks"`` names.

    Units: ``s``, ``m`` (minutes), ``h``, ``d`` (24 hours), ``w``, or the whole words.
    Errors: ``core.bad_duration`` for any other text, and for more than a hundred years.

    Example:
        >>> parse_duration("1.5h")
        datetime.timedelta(seconds=5400)
    """
    found = _DURATION.fullmatch(text)
    seconds = _UNITS.get(found[2]) if found else None
    if found is None or seconds is None:
        raise _bad_duration(text, "is not a length of time.")
    total = float(found[1]) * seconds
    if total > MAX_DURATION.total_seconds():
        raise _bad_duration(text, "is more than a hundred years.")
    return timedelta(seconds=total)


def format_duration(length: timedelta) -> str:
    """The shortest text that ``parse_duration`` reads back as the same length.

    Example:
        >>> format_duration(timedelta(hours=36))
        '36h'
    """
    seconds = length.total_seconds()
    for letter in ("w", "d", "h", "m"):
        if seconds and seconds % _SECONDS[letter] == 0:
            return f"{int(seconds // _SECONDS[letter])}{letter}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def _bad_duration(text: str, why: str) -> Invalid:
    return Invalid(
        "core.bad_duration",
        f"{text[:80]!r} {why}",
        hint="Write a number and a unit, such as '90s', '15m', '2h', '3d' or '2w'.",
        text=text[:80],
    )
