"""Texts from elsewhere, every character of them in sight."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from markupsafe import Markup, escape

# Control, format (bidirectional marks too), surrogate, private and unassigned characters, and
# separators of lines: none can be seen, all can deceive.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS: Final = {"\n": "↵", "\t": "⇥"}
_PARTS: Final = re.compile(r"(?<=[/_.:\-])(?=[^/_.:\-])")


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
