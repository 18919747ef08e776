"""Names that people type: what they may hold, and the nearest one to a misspelt one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from mainspring.core.errors import Invalid

MAX_NAME_LENGTH: Final = 128
_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")


def check_name(what: str, name: str) -> str:
    """The name itself, once it is fit to be a folder, a table and a URL part.

    Errors: ``core.bad_name`` unless it is lower-case letters, digits, ``_`` and ``-``, starting
    with a letter, at most 128 characters.
    """
    if len(name) > MAX_NAME_LENGTH or not _NAME.match(name):
        raise Invalid(
            "core.bad_name",
            f"{name[:80]!r} is not a name for a {what}.",
            hint="Use lower-case letters, digits, '_' and '-', starting with a letter.",
            name=name[:80],
        )
    return name


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name a person most likely meant, or None when none is close."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'?`` or, when nothing is close, the list of what is known."""
    names = sorted(known)
    close = nearest(name, names)
    if close:
        return f"Did you mean {close!r}?"
    return f"Known: {', '.join(names)}." if names else "There are none yet."
