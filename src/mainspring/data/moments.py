"""Dates that can be read in two ways: 03/04/2024 is in March or in April."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

from mainspring.core.errors import Invalid
from mainspring.data.source import ReadableSource

_TWO_WAYS: Final = re.compile(r"\s*(\d{1,2})[./-](\d{1,2})[./-]\d{2,4}\b.*")
_MONTHS: Final = 12


def check_dates(one: ReadableSource, columns: tuple[str, ...]) -> None:
    """Refuses a CSV file whose dates fit both day-first and month-first, all of them.

    Where one value can only be read one way, the query engine finds out, over all rows. Without
    such a value it would guess.
    Errors: ``data.ambiguous_date``.
    """
    if one.format != "csv" or one.source.timestamp_format is not None:
        return
    for column in columns:
        example = _ambiguous(one, column) if column in one.header else None
        if example is not None:
            raise Invalid(
                "data.ambiguous_date",
                f"Source {one.name!r}: the dates of {column!r}, such as {example!r}, can be read "
                "with the day or with the month first.",
                hint='Say which with timestamp_format = "%d/%m/%Y" (day first) or "%m/%d/%Y" in '
                "the source, with the letters that stand between the numbers.",
                source=one.name,
                column=column,
                example=example,
            )


def _ambiguous(one: ReadableSource, column: str) -> str | None:
    """A date of the column that differs when read the other way, if no date settles it."""
    place, example = one.header.index(column), None
    folder, pattern = Path(one.path).parent, Path(one.path).name
    for file in sorted(folder.glob(pattern)):
        with file.open("r", encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, delimiter=one.delimiter)
            if not one.source.columns:
                next(rows, None)
            for row in rows:
                value = row[place] if place < len(row) else ""
                if not value or value in one.source.null_values:
                    continue
                found = _TWO_WAYS.fullmatch(value)
                if found is None:
                    return None
                first, second = int(found[1]), int(found[2])
                if max(first, second) > _MONTHS:
                    return None
                if first != second:
                    example = example or value
    return example
