"""What is wrong with a project file: one flaw, and the error that lists all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mainspring.core.document import Path
from mainspring.core.errors import Invalid

MAX_FLAWS = 100
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with the values of a file, at the path of a key.

    ``related`` are the other keys of a contradiction; ``follows`` are keys and tables whose own
    flaws may be the only reason for this one.
    """

    code: str
    path: Path
    message: str
    hint: str = ""
    related: tuple[Path, ...] = ()
    follows: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One flaw with its place in the file; lines and columns count from one."""

    line: int
    column: int
    key: str
    message: str
    hint: str
    code: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.line}:{self.column}: {key}{self.message} {self.hint}".rstrip()


class ProjectInvalid(Invalid):
    """A project file with at least one problem; the message lists them as a compiler does.

    ``code`` is that of the first problem; each of ``problems`` carries its own.
    """

    def __init__(self, file: str, problems: Sequence[FileProblem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        shown = [f"{file}:{problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            shown.append(f"... and {len(self.problems) - _SHOWN} more.")
        first = self.problems[0]
        super().__init__(
            first.code,
            "\n".join(shown),
            hint=f"Correct {file} at the lines named.",
            file=file,
            line=first.line,
            column=first.column,
            key=first.key,
            count=len(self.problems),
            problems=[str(problem) for problem in self.problems],
        )

    def __str__(self) -> str:
        return self.message


def without(value: dict[str, Any], paths: Sequence[Path]) -> dict[str, Any] | None:
    """A copy of the values without the keys at some paths; None when one cannot be left out.

    An element of a list cannot: the ones behind it would change their places.
    """
    for path in paths:
        if not path or isinstance(path[-1], int):
            return None
        value = _dropped(value, path)
    return value


def _dropped(value: Any, path: Path) -> Any:
    key, *rest = path
    if isinstance(value, dict):
        if not rest:
            return {name: item for name, item in value.items() if name != key}
        if key not in value:
            return value
        return {**value, key: _dropped(value[key], tuple(rest))}
    if isinstance(value, list) and isinstance(key, int):
        return [_dropped(item, tuple(rest)) if i == key else item for i, item in enumerate(value)]
    return value


def independent(broken: Iterable[Flaw], flaws: Sequence[Flaw]) -> Iterator[Flaw]:
    """The broken rules that are no mere consequence of other flaws.

    A rule that speaks of a table in which a key is misspelt or has the wrong type may be broken
    only for that reason, so it waits until the key is right.
    """
    for rule in broken:
        named = [rule.path, *rule.related, *rule.follows]
        if not any(_touches(path, flaw.path) for path in named for flaw in flaws):
            yield rule


def _touches(path: Path, flawed: Path) -> bool:
    """Whether one lies within the other, or both are keys of the same table."""
    shared = min(len(path), len(flawed))
    return path[:shared] == flawed[:shared] or (len(path) > 1 and path[:-1] == flawed[:-1])
