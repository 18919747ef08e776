"""Rules of [sources] and [datasets]: where rows come from and what they promise."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from mainspring.core.document import Path
from mainspring.core.names import did_you_mean
from mainspring.data.types import Cleaning, Dataset, Expectation, Source
from mainspring.projects.flaws import Flaw
from mainspring.projects.rules.common import contradiction, duplicates, unknown_name
from mainspring.projects.spec import ProjectFile

_FORMATS: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
# Check -> (keys of which it needs at least one, other keys that it understands).
_NEEDS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "not_null": (("column", "columns"), ()),
    "unique": (("column", "columns"), ()),
    "in_range": (("min", "max"), ("column",)),
    "in_set": (("values",), ("column",)),
    "matches": (("pattern",), ("column",)),
    "increasing": (("column",), ()),
    "row_count": (("min", "max"), ()),
    "sql": (("sql",), ()),
}
_DETAILS: Final = ("column", "columns", "min", "max", "values", "pattern", "sql")
# RE2, which reads the data in linear time, has neither.
_NOT_RE2 = re.compile(r"\(\?(?:=|!|<=|<!|\()|\\[1-9]|\(\?P=")


def sources_make_sense(spec: ProjectFile) -> Iterator[Flaw]:
    """The format is known, fits the delimiter, and the timezone exists."""
    for name, source in spec.sources.items():
        path: Path = ("sources", name)
        yield from _check_format(path, source)
        yield from _check_timezone((*path, "timezone"), source.timezone)
        if source.package is not None and _leaves_its_folder(source.path):
            yield contradiction(
                (*path, "path"),
                "A file of a package lies inside that package.",
                "Give the path relative to the package's folder, without '..'.",
                (*path, "package"),
            )


def _check_format(path: Path, source: Source) -> Iterator[Flaw]:
    # As the reader of sources does: the last ending that it knows, so "x.csv.gz" is csv.
    suffixes = [suffix.lower() for suffix in PurePosixPath(source.path).suffixes]
    known = [_FORMATS[suffix] for suffix in suffixes if suffix in _FORMATS]
    kind = source.format or (known[-1] if known else None)
    if kind is None:
        yield Flaw(
            "project.missing_key",
            (*path, "path"),
            "The file's ending does not tell its format.",
            "Add format = 'csv', 'parquet' or 'json'.",
        )
    elif kind != "csv" and source.delimiter is not None:
        yield contradiction(
            (*path, "delimiter"),
            f"Only csv files have a delimiter; this is {kind}.",
            "Remove it, or say format = 'csv'.",
            (*path, "format" if source.format else "path"),
        )


def _leaves_its_folder(path: str) -> bool:
    parts = PurePosixPath(path.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts


def _check_timezone(path: Path, name: str) -> Iterator[Flaw]:
    if name == "UTC":
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        hint = did_you_mean(name[:128], known) if known else "Install the package 'tzdata'."
        hint = hint if len(hint) < 100 else "Such as 'Europe/Berlin' or 'America/New_York'."  # noqa: PLR2004 - not the list of all 600 zones
        yield Flaw("project.bad_value", path, f"There is no time zone {name[:80]!r}.", hint)


def datasets_make_sense(spec: ProjectFile) -> Iterator[Flaw]:
    """Sources exist, columns of a key stand once, and what needs a time has one."""
    for name, dataset in spec.datasets.items():
        path: Path = ("datasets", name)
        yield from _check_sources(path, dataset, spec)
        for key in ("key", "known_ahead", "personal"):
            yield from duplicates((*path, key), getattr(dataset, key), "column")
        yield from _check_time(path, dataset)
        yield from _check_cleaning(path, dataset)
        for index, promise in enumerate(dataset.expect):
            yield from check_expectation((*path, "expect", index), promise)


def _check_sources(path: Path, dataset: Dataset, spec: ProjectFile) -> Iterator[Flaw]:
    if dataset.source not in spec.sources:
        yield unknown_name((*path, "source"), "source", dataset.source, spec.sources, ("sources",))
    for alias, source in dataset.lookup.items():
        if source not in spec.sources:
            yield unknown_name(
                (*path, "lookup", alias), "source", source, spec.sources, ("sources",)
            )
        if alias == "source":
            yield contradiction(
                (*path, "lookup", alias),
                "'source' already names the dataset's own rows.",
                "Give the lookup another name.",
                (*path, "source"),
            )


def _check_time(path: Path, dataset: Dataset) -> Iterator[Flaw]:
    if dataset.time is not None:
        return
    for key, given in (
        ("period", dataset.period != "all"),
        ("known_at", dataset.known_at is not None),
    ):
        if given:
            yield contradiction(
                (*path, key),
                f"{key} needs the moment of each row, but the dataset names none.",
                "Add 'time', the column that holds it.",
                path,
            )


def _check_cleaning(path: Path, dataset: Dataset) -> Iterator[Flaw]:
    for index, step in enumerate(dataset.clean):
        here = (*path, "clean", index)
        if step == Cleaning(why=step.why):
            yield Flaw(
                "project.missing_key",
                here,
                "This cleaning step does nothing.",
                "Give 'set', 'drop', 'where' or 'deduplicate'.",
            )
        if step.set and dataset.select is not None:
            yield contradiction(
                (*here, "set"),
                "'select' stands instead of 'set' steps.",
                "Move the expression into 'select', or drop 'select'.",
                (*path, "select"),
            )


def check_expectation(path: Path, promise: Expectation) -> Iterator[Flaw]:
    """An expectation has what its check needs, nothing it ignores, and can be met."""
    needs, also = _NEEDS[promise.check]
    given = [key for key in _DETAILS if getattr(promise, key) not in (None, ())]
    wanted = [*([] if "column" not in also or promise.column else ["column"])]
    if not set(needs) & set(given):
        wanted.append(" or ".join(needs))
    if wanted:
        message = f"The check {promise.check!r} needs {' and '.join(wanted)}."
        yield Flaw("project.missing_key", path, message)
    for key in given:
        if key not in (*needs, *also):
            yield contradiction(
                (*path, key),
                f"{key!r} means nothing to the check {promise.check!r}.",
                f"It knows: {', '.join((*also, *needs))}.",
                (*path, "check"),
            )
    yield from _check_details(path, promise)


def _check_details(path: Path, promise: Expectation) -> Iterator[Flaw]:
    if promise.column is not None and promise.columns:
        yield contradiction(
            (*path, "column"), "Told twice which columns.", "Keep one.", (*path, "columns")
        )
    if promise.check == "row_count" and promise.severity == "quarantine":
        yield contradiction(
            (*path, "severity"),
            "A count concerns no single row, so none can be set aside.",
            "Use 'warn' or 'fail'.",
            (*path, "check"),
        )
    yield from _check_bounds(path, promise)
    yield from _check_pattern((*path, "pattern"), promise.pattern)
    if promise.sql is not None and (not promise.sql.strip() or ";" in promise.sql):
        yield Flaw(
            "project.bad_value",
            (*path, "sql"),
            "Expected one SQL condition that holds for a good row.",
            "Such as 'arrival >= departure'; no ';'.",
        )


def _check_bounds(path: Path, promise: Expectation) -> Iterator[Flaw]:
    low, high = promise.min, promise.max
    texts = [isinstance(bound, str) for bound in (low, high) if bound is not None]
    if len(set(texts)) > 1:
        yield contradiction(
            (*path, "min"),
            "One bound is a number and the other is text.",
            "Write both the same way.",
            (*path, "max"),
        )
    elif promise.check == "row_count" and any(texts):
        key = "min" if isinstance(low, str) else "max"
        yield Flaw("project.wrong_type", (*path, key), "A count of rows is a number.")
    elif low is not None and high is not None and low > high:  # type: ignore[operator]
        yield contradiction((*path, "min"), f"{low} is above {high}.", "Swap them.", (*path, "max"))


def _check_pattern(path: Path, pattern: str | None) -> Iterator[Flaw]:
    if pattern is None:
        return
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        hint = "In TOML, 'single quotes' keep backslashes as they are."
        yield Flaw("project.bad_pattern", path, f"Not a regular expression: {error}.", hint)
        return
    if _NOT_RE2.search(pattern):
        yield Flaw(
            "project.bad_pattern",
            path,
            "Look-around and back-references are not understood.",
            "Use a plain pattern, or the check 'sql'.",
        )


RULES = (sources_make_sense, datasets_make_sense)
