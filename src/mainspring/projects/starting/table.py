"""What the first rows of a CSV file show: columns, types, ranges, and what could be a key."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from mainspring.core.errors import Fact, Invalid, NotFound, Unavailable
from mainspring.core.names import did_you_mean

Kind = Literal["boolean", "integer", "number", "date", "timestamp", "text", "empty"]

MAX_BYTES: Final = 8_000_000
MAX_CELLS: Final = 500_000
MAX_COLUMNS: Final = 2_000
MAX_CLASSES: Final = 20
NULLS: Final = frozenset({"", "NA", "NaN", "nan", "null", "NULL", "N/A", "n/a", "?"})

_DELIMITERS: Final = ",;\t|"
_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][-+]?[0-9]{1,2})?")
_YEAR = re.compile(r"(19|20)[0-9]{2}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_KEY_NAME = re.compile(r"(^|_)(id|key|uuid|number|nr|no)$", re.IGNORECASE)
_TIME_NAME = re.compile(r"time|date|_at$|when|timestamp", re.IGNORECASE)
_TARGET_NAME = re.compile(
    r"^(target|label|y|outcome|class|churn(ed)?|default(ed)?|survived|fraud|is_\w+)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ColumnSeen:
    """One column of the rows seen; ``classes`` are its values when they are few."""

    name: str
    kind: Kind
    nulls: int
    distinct: int
    classes: tuple[str, ...]
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class TableSeen:
    """The rows seen of a file; ``complete`` when that was all of them."""

    file: Path
    delimiter: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[ColumnSeen, ...]
    null_words: tuple[str, ...]
    complete: bool

    def column(self, name: str) -> ColumnSeen:
        """The column of this name.

        Errors: ``project.no_such_column`` with the nearest spelling.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise Invalid(
            "project.no_such_column",
            f"{self.file.name!r} has no column {name[:80]!r}.",
            hint=did_you_mean(name[:128], self.header),
            column=name[:80],
            known=list(self.header[:100]),
        )

    def key(self, without: str) -> tuple[str, ...]:
        """Columns that name one row each in the rows seen: one, else two, else none."""
        usable = [
            column
            for column in self.columns
            if column.nulls == 0 and column.kind not in {"number", "empty"}
            if column.name != without
        ]
        single = [column.name for column in usable if column.distinct == len(self.rows)]
        named = [name for name in single if _KEY_NAME.search(name)]
        if single:
            return ((named or single)[0],)
        for pair in itertools.combinations([column.name for column in usable[:10]], 2):
            first, second = (self.header.index(name) for name in pair)
            if len({(row[first], row[second]) for row in self.rows}) == len(self.rows):
                return pair
        return ()

    def time(self, without: str) -> str | None:
        """The column that most likely holds the moment of each row."""
        moments = [
            column.name
            for column in self.columns
            if column.kind in {"date", "timestamp"} and not column.nulls and column.name != without
        ]
        named = [name for name in moments if _TIME_NAME.search(name)]
        return next(iter(named or moments), None)

    def targets(self) -> tuple[str, ...]:
        """Columns that could be the target, the likeliest first."""
        fit = [
            column
            for column in self.columns
            if len(column.classes) == 2  # noqa: PLR2004 - yes and no
            or (column.kind in {"integer", "number"} and column.distinct > MAX_CLASSES)
        ]
        names = [column.name for column in fit if not _KEY_NAME.search(column.name)]
        named = [name for name in names if _TARGET_NAME.match(name)]
        return tuple(dict.fromkeys([*named, *reversed(names)]))

    def telling(self, target: str) -> tuple[str, ...]:
        """Columns whose value alone settles a target of two values in every row seen.

        Likely its shadow: something written down when the outcome was known.
        """
        answer = self.header.index(target)
        found: list[str] = []
        if self.columns[answer].distinct != 2:  # noqa: PLR2004 - yes and no
            return ()
        for index, column in enumerate(self.columns):
            if index == answer or not 1 < column.distinct <= len(self.rows) // 4:
                continue
            pairs = {(row[index], row[answer]) for row in self.rows}
            if len(pairs) == column.distinct + (1 if column.nulls else 0):
                found.append(column.name)
        return tuple(found)


def look_at_csv(file: Path) -> TableSeen:
    """What the first rows of a CSV file show; at most 8 MB and half a million cells are read.

    Errors: ``project.csv_not_found`` with the nearest file name, and ``project.csv_...`` for a
    file that is empty, not UTF-8 (with the byte's offset), without header or rows, with a name
    that stands twice, or with a row of another length (with its line).
    """
    data, whole = _read(file)
    text = _decode(file, data, whole=whole)
    if not text.strip():
        hint = "It needs a line with column names and rows below it."
        raise Invalid("project.csv_empty", f"{file.name!r} is empty.", hint=hint, file=str(file))
    if not whole:
        text = text[: text.rfind("\n") + 1]
    delimiter = _delimiter(text)
    header, rows, more = _rows(file, text, delimiter)
    columns = tuple(_see(name, [row[i] for row in rows]) for i, name in enumerate(header))
    words = {cell for row in rows for cell in row} & NULLS
    extra = tuple(sorted(words - {"", "NA"}))
    return TableSeen(file, delimiter, header, rows, columns, extra, whole and not more)


def _read(file: Path) -> tuple[bytes, bool]:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        folder = file.parent
        there = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
        hint = did_you_mean(file.name, there[:500]) if there else "The folder does not exist."
        message = f"There is no file {str(file)!r}."
        raise NotFound("project.csv_not_found", message, hint=hint, file=str(file)) from None
    except OSError as error:
        raise Unavailable(
            "project.csv_unreadable",
            f"Cannot read {str(file)!r}: {error.strerror}.",
            hint="Check that it is a file, and that you may read it.",
            file=str(file),
        ) from error
    return data[:MAX_BYTES], len(data) <= MAX_BYTES


def _decode(file: Path, data: bytes, *, whole: bool) -> str:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    wrong = 0 if data.startswith(_WIDE) else data.find(b"\0")
    if wrong < 0:
        try:
            return decoder.decode(data, final=whole)
        except UnicodeDecodeError as error:
            # The decoder counts behind a byte order mark.
            mark = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
            wrong = error.start + (mark if len(error.object) < len(data) else 0)
    likely = _likely_encoding(data)
    raise Invalid(
        "project.csv_not_utf8",
        f"{file.name!r} is not UTF-8: byte 0x{data[wrong]:02x} at offset {wrong}; "
        f"it looks like {likely}.",
        hint=f"Save it as UTF-8, for example: iconv -f {likely} -t utf-8 {file.name} > new.csv",
        file=str(file),
        offset=wrong,
        encoding=likely,
    )


def _likely_encoding(data: bytes) -> str:
    if data.startswith(_WIDE) or b"\0" in data[:1000]:
        return "utf-16"
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin1"
    return "cp1252"


def _delimiter(text: str) -> str:
    """The character that cuts the first lines into equally many parts, and into most of them."""
    lines = list(itertools.islice(io.StringIO(text, newline=""), 50))

    def score(delimiter: str) -> tuple[bool, int]:
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        widths = Counter(len(row) for row in rows)
        width, times = widths.most_common(1)[0]
        return width > 1 and times * 10 >= len(rows) * 9, width

    try:
        return max(_DELIMITERS, key=score)
    except csv.Error:
        return ","


def _rows(
    file: Path, text: str, delimiter: str
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], bool]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[tuple[str, ...]] = []
    header: tuple[str, ...] = ()
    try:
        for row in reader:
            if not row:
                continue
            if not header:
                header = tuple(name.strip() for name in row)
                continue
            if len(row) != len(header):
                raise _ragged(file, reader.line_num, len(row), len(header))
            rows.append(tuple(cell.strip() for cell in row))
            if len(rows) * len(header) >= MAX_CELLS:
                break
    except csv.Error as error:
        message = f"Line {reader.line_num} of {file.name!r} is no CSV: {error}."
        hint = "Look for a quote that is never closed."
        raise Invalid("project.csv_broken", message, hint=hint, line=reader.line_num) from None
    _check_header(file, header, rows)
    return header, tuple(rows), next(reader, None) is not None


def _ragged(file: Path, line: int, found: int, wanted: int) -> Invalid:
    return Invalid(
        "project.csv_ragged",
        f"Line {line} of {file.name!r} has {found} fields, the header has {wanted}.",
        hint="Put fields that hold the delimiter in double quotes.",
        file=str(file),
        line=line,
    )


def _check_header(file: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    facts: dict[str, Fact] = {"file": str(file), "columns": list(header[:100])}
    looks = [name for name in header if _kind([name]) != "text" and not _YEAR.fullmatch(name)]
    if "" not in header and looks:
        raise Invalid(
            "project.csv_no_header",
            f"The first line of {file.name!r} holds values such as {looks[0]!r}, not names.",
            hint="Add a first line with one name per column.",
            **facts,
        )
    if "" in header:
        message = f"Column {header.index('') + 1} of {file.name!r} has no name."
        hint = "Give every column a name in the first line."
        raise Invalid("project.csv_no_header", message, hint=hint, **facts)
    twice = sorted(name for name, count in Counter(map(str.lower, header)).items() if count > 1)
    if twice:
        names = [name for name in header if name.lower() in twice]
        raise Invalid(
            "project.csv_duplicate_column",
            f"Column names of {file.name!r} stand twice (case aside): {', '.join(names[:10])}.",
            hint="Rename all but one of each.",
            **facts,
        )
    if len(header) > MAX_COLUMNS:
        message = f"{file.name!r} has {len(header):,} columns; at most {MAX_COLUMNS:,} are read."
        raise Invalid("project.csv_too_wide", message, hint="Keep the columns you need.", **facts)
    if not rows:
        message = f"{file.name!r} has a header but no rows."
        raise Invalid("project.csv_empty", message, hint="Add rows below the header.", **facts)


def _see(name: str, cells: Sequence[str]) -> ColumnSeen:
    values = Counter(cell for cell in cells if cell not in NULLS)
    kind = _kind(values)
    classes = tuple(values) if len(values) <= MAX_CLASSES else ()
    low = high = None
    if kind in {"integer", "number"}:
        numbers = [float(value) for value in values]
        low, high = min(numbers), max(numbers)
    return ColumnSeen(name, kind, len(cells) - values.total(), len(values), classes, low, high)


def _kind(values: Counter[str] | Sequence[str]) -> Kind:
    if not values:
        return "empty"
    if all(value.lower() in {"true", "false"} for value in values):
        return "boolean"
    if all(_INTEGER.fullmatch(value) for value in values):
        return "integer"
    if all(_NUMBER.fullmatch(value) for value in values):
        return "number"
    if all(_DATE.match(value) and _is_moment(value) for value in values):
        return "date" if all(_DATE.fullmatch(value) for value in values) else "timestamp"
    return "text"


def _is_moment(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
