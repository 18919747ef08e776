"""The query engine's words about a dataset's SQL, as an error that names the column to fix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mainspring.core.errors import Invalid, MainspringError, Unavailable
from mainspring.core.names import did_you_mean
from mainspring.data.types import Dataset

_COLUMN = re.compile(r'Referenced column "([^"]+)" (?:was )?not found')
_CANDIDATES = re.compile(r"Candidate bindings: (.*)")
_NAME = re.compile(r'"([^"]+)"')
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_RAGGED = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_CAST = re.compile(r"Error when converting column \"([^\"]+)\"\. (.*)")
_ZONE = re.compile(r"Unknown TimeZone '([^']*)'")


@contextmanager
def explained(dataset: str, spec: Dataset) -> Iterator[None]:
    """Turns ``tables.bad_query`` of the block into an error about this dataset.

    Errors: ``data.unknown_column``, ``data.bad_line``, ``data.bad_value``, ``data.unknown_zone``,
    ``data.bad_sql``, ``data.disk_full``.
    """
    try:
        yield
    except MainspringError as error:
        if error.code == "tables.full":
            raise _full(dataset) from error
        if error.code != "tables.bad_query":
            raise
        raise translated(str(error.facts.get("engine", error.message)), dataset, spec) from error


def translated(words: str, dataset: str, spec: Dataset) -> Invalid:
    """The error that an engine's message about this dataset stands for."""
    if found := _COLUMN.search(words):
        candidates = _CANDIDATES.search(words)
        known = _NAME.findall(candidates[1]) if candidates else []
        return Invalid(
            "data.unknown_column",
            f"The SQL of the dataset {dataset!r} reads {found[1]!r}, which is no column.",
            hint=did_you_mean(found[1], known) if known else "Check its spelling.",
            dataset=dataset,
            column=found[1],
            known=known,
        )
    if found := _LINE.search(words):
        return _bad_line(words, int(found[1]), dataset, spec)
    if found := _ZONE.search(words):
        return Invalid(
            "data.unknown_zone",
            f"There is no time zone {found[1]!r} (dataset {dataset!r}).",
            hint="Use an IANA name such as 'UTC', 'Europe/Berlin' or 'America/New_York'.",
            dataset=dataset,
            timezone=found[1],
        )
    first = words.strip().splitlines()[0] if words.strip() else "no reason given"
    return Invalid(
        "data.bad_sql",
        f"The SQL of the dataset {dataset!r} does not work: {first}",
        hint="Check the expressions under 'clean', 'select' and 'expect' of the dataset.",
        dataset=dataset,
        engine=words[:2000],
    )


def _bad_line(words: str, line: int, dataset: str, spec: Dataset) -> Invalid:
    facts: dict[str, str | int] = {"dataset": dataset, "source": spec.source, "line": line}
    if ragged := _RAGGED.search(words):
        return Invalid(
            "data.bad_line",
            f"Line {line} of the source {spec.source!r} has {ragged[2]} values where the header "
            f"has {ragged[1]} columns.",
            hint="Fix the line, or set 'delimiter' of the source; put values that hold the "
            "delimiter in double quotes.",
            **facts,
        )
    if cast := _CAST.search(words):
        return Invalid(
            "data.bad_value",
            f"Line {line} of the source {spec.source!r}, column {cast[1]!r}: {cast[2]}",
            hint="Fix the value, or list it in the source's 'null_values' if it means 'unknown'.",
            column=cast[1],
            **facts,
        )
    return Invalid(
        "data.bad_line",
        f"Line {line} of the source {spec.source!r} cannot be read.",
        hint="Is a quotation mark left open?",
        engine=words[:2000],
        **facts,
    )


def _full(dataset: str) -> Unavailable:
    return Unavailable(
        "data.disk_full",
        f"The disk is full; nothing of {dataset!r} was written.",
        hint="Free some space and run the same command again; it goes on where it was.",
        dataset=dataset,
    )
