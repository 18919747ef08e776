"""The few words that all rules are written in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from mainspring.core.document import Path
from mainspring.core.durations import parse_duration
from mainspring.core.names import did_you_mean
from mainspring.projects.flaws import Flaw

ZERO = timedelta(0)


def contradiction(path: Path, message: str, hint: str, *related: Path) -> Flaw:
    """Two keys that cannot both hold; ``related`` names the other."""
    return Flaw("project.contradiction", path, message, hint, related)


def unknown_name(path: Path, what: str, name: str, known: Iterable[str], table: Path) -> Flaw:
    """A name that nothing in a table of the file bears, with the nearest that something does."""
    where = "" if path == table else " in this file"
    message = f"There is no {what} {name[:80]!r}{where}."
    hint = did_you_mean(name[:128], known)
    return Flaw("project.unknown_name", path, message, hint, follows=(table,))


def duplicates(path: Path, names: Sequence[str], what: str) -> Iterator[Flaw]:
    """One flaw per name that a list holds a second time."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            message = f"The {what} {name!r} stands twice."
            yield Flaw("project.duplicate", (*path, index), message, "Keep one.")
        seen.add(name)


def not_zero(path: Path, duration: str) -> Iterator[Flaw]:
    """A flaw when a length of time is zero where that means nothing."""
    if parse_duration(duration) == ZERO:
        yield Flaw("project.out_of_range", path, "Must be longer than zero.", "Such as '7d'.")
