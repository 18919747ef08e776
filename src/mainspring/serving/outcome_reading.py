"""Reports of outcomes as they come in a stream: a line of JSON each, or CSV with a header.

A row names its prediction or its entity, its outcome, and when that became known. A row whose
outcome is null or empty is not known yet; it is counted and left out.
"""

from __future__ import annotations

import contextlib
import csv
import math
import os
import select
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Invalid
from mainspring.core.time import to_micros

Format = Literal["jsonl", "csv", "parquet"]
# What each ending of a file's name means.
FORMATS: Final[Mapping[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
MOST_KEY_LETTERS: Final = 256
_ROWS_PER_BATCH: Final = 50_000
_MOST_FIELD_LETTERS: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 18
_WORDS: Final = {"true": 1.0, "false": 0.0}
_object = msgspec.json.Decoder(dict[str, Any])
# A line, or None where the sender paused: what has come so far may be stored.
Lines = Iterable[bytes | None]


@dataclass(frozen=True, slots=True)
class Naming:
    """Which columns of a report hold what.

    ``prediction`` and ``entity`` may both be there; each row fills one of them. ``at`` is when
    outcomes became known whose rows do not say so.
    """

    prediction: str | None = "prediction_id"
    entity: str | None = "entity"
    outcome: str = "outcome"
    known_at: str = "known_at"
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReportBatch:
    """Some rows of a report. ``first`` and ``last`` count from one; ``waiting`` had no outcome.

    Shapes: the columns of both frames (``key``, ``outcome``, ``known_at``) have one length each.
    """

    first: int
    last: int
    waiting: int
    by_prediction: Mapping[str, NDArray[Any]]
    by_entity: Mapping[str, NDArray[Any]]


class FlawedRowError(Invalid):
    """A row that makes no sense; ``before`` holds those before it that were not handed on yet."""

    before: ReportBatch | None = None


def read_batches(lines: Lines, format_: Format, naming: Naming) -> Iterator[ReportBatch]:
    """The rows of a stream, some at a time: many, or as many as came before a pause.

    Errors: :class:`FlawedRowError` (``serving.bad_outcome``) with the row's number.
    """
    rows = _csv_rows(lines) if format_ == "csv" else _json_rows(lines)
    batch = _Batch(naming, 1)
    for row in rows:
        if row is not None:
            try:
                batch.add(row)
            except FlawedRowError as error:
                error.before = batch.done()
                raise
        if batch.count and (row is None or batch.count >= _ROWS_PER_BATCH):
            yield batch.done()
            batch = _Batch(naming, batch.next)
    if batch.count:
        yield batch.done()


def flawed(row: int, what: str, hint: str = "") -> FlawedRowError:
    """The refusal of a row."""
    return FlawedRowError(
        "serving.bad_outcome",
        f"Row {row:,} {what}.",
        hint=f"{hint or 'Mend it'} and import again from the start: nothing is stored twice.",
        row=row,
    )


class _Batch:
    """Rows on their way into columns."""

    def __init__(self, naming: Naming, first: int) -> None:
        self.next = first
        self._naming, self._first, self._waiting = naming, first, 0
        self._rows: tuple[list[tuple[str, float, int]], ...] = ([], [])

    @property
    def count(self) -> int:
        return self.next - self._first

    def add(self, row: Mapping[str, Any] | str) -> None:
        """Takes the next row. Errors: :class:`FlawedRowError`."""
        number, naming = self.next, self._naming
        if isinstance(row, str):
            raise flawed(number, row)
        place, key = _key(row, number, naming)
        if naming.outcome not in row:
            raise flawed(number, f"has no {naming.outcome!r}")
        outcome = _outcome(row[naming.outcome], number, naming.outcome)
        if outcome is None:
            self._waiting += 1
        else:
            self._rows[place].append((key, outcome, _known_at(row, number, naming)))
        self.next += 1

    def done(self) -> ReportBatch:
        """The columns of what was taken."""
        ids, entities = (_frame(rows) for rows in self._rows)
        return ReportBatch(self._first, self.next - 1, self._waiting, ids, entities)


def _frame(rows: list[tuple[str, float, int]]) -> dict[str, NDArray[Any]]:
    key = np.empty(len(rows), dtype=object)
    key[:] = [row[0] for row in rows]
    return {
        "key": key,
        "outcome": np.array([row[1] for row in rows], dtype=np.float64),
        "known_at": np.array([row[2] for row in rows], dtype="datetime64[us]"),
    }


def _key(row: Mapping[str, Any], number: int, naming: Naming) -> tuple[int, str]:
    """0 and a prediction's id, or 1 and an entity's key."""
    given = [
        (place, row[name])
        for place, name in enumerate((naming.prediction, naming.entity))
        if name is not None and row.get(name) not in (None, "")
    ]
    if len(given) != 1:
        names = " nor ".join(repr(n) for n in (naming.prediction, naming.entity) if n is not None)
        raise flawed(
            number, "names both a prediction and an entity" if given else f"has no {names}"
        )
    place, key = given[0]
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise flawed(number, f"has the key {str(key)[:80]!r}, which is no text")
    if len(str(key)) > MOST_KEY_LETTERS:
        raise flawed(number, f"has a key of more than {MOST_KEY_LETTERS} letters")
    return place, str(key)


def _outcome(value: Any, number: int, name: str) -> float | None:
    if value is None or value == "":
        return None
    found = math.nan
    with contextlib.suppress(ValueError, OverflowError):
        if isinstance(value, str):
            found = _WORDS[value.lower()] if value.lower() in _WORDS else float(value)
        elif isinstance(value, int | float):
            found = float(value)
    if not math.isfinite(found):
        raise flawed(number, f"has the {name} {str(value)[:80]!r}, which is no number")
    return found


def _known_at(row: Mapping[str, Any], number: int, naming: Naming) -> int:
    said = row.get(naming.known_at)
    if said in (None, ""):
        if naming.at is None:
            raise flawed(
                number,
                f"does not say when its outcome was known ({naming.known_at!r})",
                "Give a moment for the rows that tell none (--at), or the name of the column that "
                "does (--known-at),",
            )
        return to_micros(naming.at)
    try:
        moment = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise flawed(
            number, f"has the moment {str(said)[:60]!r}, not one like 2024-05-01T12:00:00Z"
        )
    return to_micros(moment)


def _json_rows(lines: Lines) -> Iterator[Mapping[str, Any] | str | None]:
    for line in lines:
        if line is None:
            yield None
        elif line.strip():
            try:
                yield _object.decode(line)
            except msgspec.DecodeError as error:
                yield f"is not an object of JSON ({str(error)[:200]})"


def _csv_rows(lines: Lines) -> Iterator[Mapping[str, Any] | str | None]:
    """Rows by the names of the first one; a quoted field may hold line breaks."""
    names: list[str] | None = None
    text = ""
    for line in lines:
        if line is None:
            yield None
            continue
        try:
            text += line.decode("utf-8-sig" if names is None else "utf-8")
            if text.count('"') % 2 and len(text) < _MOST_FIELD_LETTERS:
                continue
            values = next(csv.reader([text], strict=True), [])
        except (csv.Error, UnicodeDecodeError) as error:
            yield f"is not CSV in UTF-8 ({error})"
            return
        text = ""
        if not values:
            continue
        if names is None:
            names = values
        elif len(values) == len(names):
            yield dict(zip(names, values, strict=True))
        else:
            yield f"has {len(values)} fields, the header {len(names)}"
    if text:
        yield "ends inside a quoted field"


def lines_of(descriptor: int, pause_seconds: float) -> Iterator[bytes | None]:
    """The lines of a stream as they come, and None whenever nothing came for so long."""
    rest = b""
    quiet = True
    while True:
        if not quiet and not select.select([descriptor], [], [], pause_seconds)[0]:
            quiet = True
            yield None
            continue
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if not chunk:
            break
        quiet = False
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
