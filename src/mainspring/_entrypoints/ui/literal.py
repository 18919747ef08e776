"""Values as a reader wants to see them, and every character of a foreign text in sight."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final

from markupsafe import Markup, escape

from mainspring.core.time import EPOCH

# Control, format (bidirectional marks too), surrogate, private and unassigned characters, and
# separators of lines: none can be seen, all can deceive.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS: Final = {"\n": "↵", "\t": "⇥"}
_PARTS: Final = re.compile(r"(?<=[/_.:\-])(?=[^/_.:\-])")
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000


def visible(text: str) -> str:
    r"""The text with every unseen character written out.

    Example:
        >>> visible("a\u202eb")
        'a⟨U+202E⟩b'
    """
    if text.isprintable():
        return text
    return "".join(map(_seen, text))


def _seen(letter: str) -> str:
    if unicodedata.category(letter) not in _UNSEEN:
        return letter
    return _MARKS.get(letter) or f"⟨U+{ord(letter):04X}⟩"


def shown(value: object) -> object:
    """What a template prints for a value: texts literally, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value


def prose(text: str) -> Markup:
    """A text of several lines, each as it is."""
    return Markup("\n").join(visible(line) for line in text.splitlines())


def breakable(text: str) -> Markup:
    r"""A name that may be broken behind its separators, and nowhere else unless it must.

    Example:
        >>> breakable("system/cpu_<b>")
        Markup('system/<wbr>cpu_<wbr>&lt;b&gt;')
    """
    parts = _PARTS.split(visible(text))
    return Markup("<wbr>").join(part for part in parts if part)


def exact(text: str) -> Markup:
    """A text for the value of a form field, where it must stay what it is."""
    return escape(text)


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
