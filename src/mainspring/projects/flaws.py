"""What is wrong with a project file: one flaw, and the error that lists all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mainspring.core.document import Path
from mainspring.core.errors import Invalid

MAX_FLAWS = 100
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with the values of a file, at the path of a key.

    ``related`` are the other keys of a contradiction.
    """

    code: str
    path: Path
    message: str
    hint: str = ""
    related: tuple[Path, ...] = ()


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
            file=file,
            line=first.line,
            column=first.column,
            key=first.key,
            count=len(self.problems),
            problems=[str(problem) for problem in self.problems],
        )
