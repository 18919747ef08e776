"""Putting a new project in place: all of it, or nothing."""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from mainspring.core.errors import Conflict, Invalid, NotFound, Unavailable
from mainspring.core.names import MAX_NAME_LENGTH, check_name, did_you_mean
from mainspring.projects.file import FILE_NAME, read_project
from mainspring.projects.schema import schema_text
from mainspring.projects.starting.answers import Answers, Interview, complete
from mainspring.projects.starting.table import TableSeen, look_at_csv
from mainspring.projects.starting.write import common_words, fill, table_words

TEMPLATES: Final = ("empty", "tabular")
EDITOR_SCHEMA: Final = ".mainspring.schema.json"
_SUFFIX: Final = ".template"
_MAX_EXAMPLE_BYTES: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Started:
    """A project that was just put in place, and what a person should look at first."""

    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]


def start_project(
    folder: Path,
    *,
    template: str = "empty",
    csv_file: Path | None = None,
    answers: Answers | None = None,
    interview: Interview | None = None,
) -> Started:
    """Starts a project in a folder (made when absent) from a template or an example.

    Open questions are put to the interview; without one, what the data shows stands. ``tabular``
    needs a CSV file. The files are written aside, read back as a project, and then put in place.

    Errors: ``project.exists`` when any of the files is there already; nothing is changed then.
    ``project.no_such_template``; ``project.csv_...`` (see ``look_at_csv``) and the errors of the
    target (see ``complete``); ``project.unwritable``.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow a link
    if template not in template_names():
        hint = did_you_mean(template, template_names())
        raise NotFound("project.no_such_template", f"No template {template[:80]!r}.", hint=hint)
    _refuse_existing(folder, [FILE_NAME])
    notes: tuple[str, ...] = ()
    if template in TEMPLATES:
        files, notes = _texts(folder, template, csv_file, answers or Answers(), interview)
    else:
        files = dict(example_files(_examples()[template]))
    _refuse_existing(folder, files)
    made = _put_in_place(folder, files)
    return Started(folder, made, notes)


def template_names() -> tuple[str, ...]:
    """What a project can be started from: ``empty``, ``tabular``, and each example by its name."""
    return (*TEMPLATES, *sorted(_examples()))


def _texts(
    folder: Path,
    template: str,
    csv_file: Path | None,
    answers: Answers,
    interview: Interview | None,
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    table = _table(template, csv_file)
    answers = complete(answers, interview, table)
    words = common_words(_project_name(folder), answers)
    notes: tuple[str, ...] = ()
    if table is not None:
        words |= table_words(table, answers, _source_path(folder, table.file))
        _need_features(table, words["features"], answers["target"])
        notes = tuple(_notes(table, answers))
    files = {
        name.removesuffix(_SUFFIX): fill(text, words).encode()
        for name, text in _template_files(template)
    }
    return files | {EDITOR_SCHEMA: schema_text().encode()}, notes


def _table(template: str, csv_file: Path | None) -> TableSeen | None:
    if template != "tabular":
        return None
    if csv_file is None:
        raise Invalid(
            "project.csv_missing",
            "The template 'tabular' starts from a CSV file, and none was given.",
            hint="Name one, or take the template 'empty'.",
        )
    return look_at_csv(csv_file)


def _need_features(table: TableSeen, features: str, target: str) -> None:
    if not features:
        left_out = [f"{name!r} settles it" for name in table.telling(target)]
        because = f" ({', '.join(left_out[:5])}: likely known only afterwards)" if left_out else ""
        raise Invalid(
            "project.no_features",
            f"{table.file.name!r} has no column to predict {target!r} from, beside key and time{because}.",
            hint="Add columns that are known when the prediction is asked for.",
        )


def _notes(table: TableSeen, answers: Answers) -> Iterator[str]:
    target = answers["target"]
    if not table.complete:
        yield f"Only the first {len(table.rows):,} rows were looked at."
    if not table.key(target):
        yield "No column names a row, so rows are numbered; add a key that stays the same."
    for name in table.telling(target):
        yield f"Column {name!r} settles {target!r} in every row seen; it was left out of known_ahead."
    for column in table.columns:
        if column.nulls * 2 > len(table.rows):
            yield f"Column {column.name!r} is empty in {column.nulls:,} of {len(table.rows):,} rows."


def _project_name(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.name.lower()).strip("-_")[:MAX_NAME_LENGTH]
    if not name or not name[0].isalpha():
        name = f"project-{name}".strip("-")[:MAX_NAME_LENGTH]
    return check_name("project", name)


def _source_path(folder: Path, file: Path) -> str:
    """The file as the project names it: relative to its folder, and no glob by accident."""
    try:
        path = os.path.relpath(file, folder)
    except ValueError:  # another drive
        path = str(file.resolve())
    return glob.escape(Path(path).as_posix())


def _template_files(template: str) -> Iterator[tuple[str, str]]:
    folder = resources.files("mainspring.projects") / "templates" / template
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(_SUFFIX):
            yield file.name, file.read_text(encoding="utf-8")


def _examples() -> dict[str, Path]:
    """The examples that ship with the package, or lie beside its source."""
    package = Path(str(resources.files("mainspring")))
    for folder in (package / "_examples", package.parent.parent / "examples"):
        if folder.is_dir():
            return {each.name: each for each in folder.iterdir() if (each / FILE_NAME).is_file()}
    return {}


def example_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of an example with their relative names; hidden ones and caches are left out.

    Errors: ``project.example_too_large``.
    """
    size = 0
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        hidden = any(part.startswith((".", "__pycache__")) for part in parts)
        if not file.is_file() or (hidden and parts != (EDITOR_SCHEMA,)):
            continue
        size += file.stat().st_size
        if size > _MAX_EXAMPLE_BYTES:
            message = f"The example {folder.name!r} is larger than {_MAX_EXAMPLE_BYTES:,} bytes."
            raise Invalid("project.example_too_large", message, hint="Copy its folder yourself.")
        yield "/".join(parts), file.read_bytes()


def _refuse_existing(folder: Path, names: dict[str, bytes] | list[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise Conflict(
            "project.exists",
            f"{str(folder)!r} is a file, so no project can be started there.",
            hint="Name another folder.",
            folder=str(folder),
        )
    there = [name for name in names if os.path.lexists(folder / name)]
    if there:
        raise Conflict(
            "project.exists",
            f"{str(folder)!r} already holds {', '.join(there[:5])}; nothing was changed.",
            hint="Name another folder, or move what is there.",
            folder=str(folder),
            files=there[:100],
        )


def _put_in_place(folder: Path, files: dict[str, bytes]) -> tuple[str, ...]:
    try:
        parent = folder.parent
        parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        for name, data in files.items():
            file = aside / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        read_project(aside)
        if folder.exists():
            _move_in(aside, folder, [name for name in files if name != FILE_NAME])
        else:
            aside.chmod(0o755)  # mkdtemp makes it private; a project is shared like any folder
            aside.rename(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return tuple(sorted(files))


def _move_in(aside: Path, folder: Path, names: list[str]) -> None:
    """Moves the files into a folder that is there; mainspring.toml last, so it marks a whole.

    Hard links never replace a file that has appeared meanwhile. What was put in place is taken
    back when a later file cannot be.
    """
    done: list[Path] = []
    try:
        for name in (*names, FILE_NAME):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _place(aside / name, folder / name)
            done.append(folder / name)
    except BaseException:
        for file in done:
            file.unlink(missing_ok=True)
        raise


def _place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        _refuse_existing(target.parent, [target.name])
        raise
    except OSError:  # a file system without hard links
        with target.open("xb") as stream:
            stream.write(source.read_bytes())


def _unwritable(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        "project.unwritable",
        f"Cannot write the project into {str(folder)!r}: {error.strerror}; nothing was changed.",
        hint="Check the permissions and the free space, or name another folder.",
        folder=str(folder),
    )
