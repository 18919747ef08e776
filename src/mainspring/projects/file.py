"""Reading a project: ``mainspring.toml`` as one checked value, or every problem it has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path as File
from typing import Any, Final

import msgspec

from mainspring.core.document import MAX_DOCUMENT_BYTES, Document, Path, dotted, parse_document
from mainspring.core.errors import Invalid, NotFound
from mainspring.projects.check import check_value, last_word
from mainspring.projects.defaults import with_defaults
from mainspring.projects.flaws import (
    MAX_FLAWS,
    FileProblem,
    Flaw,
    ProjectInvalid,
    independent,
    without,
)
from mainspring.projects.rules import check_rules
from mainspring.projects.spec import ProjectFile

FILE_NAME: Final = "mainspring.toml"


@dataclass(frozen=True, slots=True)
class LoadedProject:
    """A project file that holds together, and where it came from.

    ``digest`` is the content address of the bytes read; ``folder`` is what relative paths of the
    file are relative to.
    """

    spec: ProjectFile
    folder: File
    file: File
    digest: str
    document: Document

    def where(self, *path: str | int) -> str:
        """``mainspring.toml:12:1``: the place of a key, for messages of later stages."""
        line, column = self.document.position(path)
        return f"{self.file.name}:{line}:{column}"


def read_project(where: str | File) -> LoadedProject:
    """The project in a folder, or in the named file.

    Errors: ``project.not_found`` when there is no such file; ``ProjectInvalid`` with every problem
    of the file, each with line, column, key, what was expected and the nearest spelling.
    """
    file = File(where)
    if file.is_dir():
        file /= FILE_NAME
    data = _read(file)
    spec, document = parse_project(_decode(data, file.name), file.name)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return LoadedProject(spec, file.parent.resolve(), file, digest, document)


def parse_project(text: str, name: str = FILE_NAME) -> tuple[ProjectFile, Document]:
    """The checked value of a project file's text, and the positions of its keys.

    Errors: ``ProjectInvalid``, see ``read_project``.
    """
    try:
        document = parse_document(text)
    except Invalid as error:
        raise ProjectInvalid(name, [_syntax_problem(error)]) from None
    spec, flaws = judge(document.value)
    if spec is None or flaws:
        raise ProjectInvalid(name, _place(flaws, document))
    return spec, document


def judge(value: dict[str, Any]) -> tuple[ProjectFile | None, list[Flaw]]:
    """The spec of plain values and the flaws of both kinds: of single keys, and between keys.

    Rules between keys are judged even when single keys are wrong, as far as the rest still makes
    a project; what may only follow from a wrong key is left out. None when it makes none.
    """
    flaws = list(islice(check_value(value, ProjectFile), MAX_FLAWS))
    sound = without(value, [flaw.path for flaw in flaws])
    if sound is None or (flaws and next(check_value(sound, ProjectFile), None) is not None):
        return None, flaws
    try:
        spec = msgspec.convert(with_defaults(sound), ProjectFile)
    except msgspec.ValidationError as error:
        return None, [*flaws, last_word(error)]
    broken = islice(check_rules(spec), MAX_FLAWS)
    return spec, [*flaws, *independent(broken, flaws)]


def _place(flaws: Iterable[Flaw], document: Document) -> list[FileProblem]:
    """The flaws with their places, in the order of the file, each once."""

    def placed() -> Iterator[FileProblem]:
        for flaw in flaws:
            line, column = document.position(flaw.path)
            others = "".join(f" (and {_related(path, document)})" for path in flaw.related)
            message = flaw.message + others
            yield FileProblem(line, column, dotted(flaw.path), message, flaw.hint, flaw.code)

    return sorted(dict.fromkeys(placed()), key=lambda problem: (problem.line, problem.column))


def _related(path: Path, document: Document) -> str:
    if path not in document.offsets:
        return f"{dotted(path)}, by default"
    return f"{dotted(path)}, line {document.position(path).line}"


def _read(file: File) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_DOCUMENT_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(
            "project.not_found",
            f"There is no project file {str(file)!r}.",
            hint="Start one with 'mainspring init', or name the folder that holds it.",
            file=str(file),
        ) from None
    except OSError as error:
        message = f"Cannot read {str(file)!r}: {error.strerror}."
        hint = "Check that it is a file, and that you may read it."
        raise Invalid("project.unreadable", message, hint=hint, file=str(file)) from error
    if len(data) > MAX_DOCUMENT_BYTES:
        message = f"The file is larger than {MAX_DOCUMENT_BYTES:,} bytes."
        hint = "A project file holds settings; move data into files and name them as sources."
        raise ProjectInvalid(file.name, [FileProblem(1, 1, "", message, hint, "project.too_large")])
    return data


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        message = f"Not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}."
        problem = FileProblem(
            line, column, "", message, "Save the file as UTF-8.", "project.not_utf8"
        )
        raise ProjectInvalid(name, [problem]) from None


def _syntax_problem(error: Invalid) -> FileProblem:
    line, column = error.facts.get("line"), error.facts.get("column")
    at = (line if isinstance(line, int) else 1, column if isinstance(column, int) else 1)
    return FileProblem(*at, "", error.message, error.hint, "project.bad_toml")
