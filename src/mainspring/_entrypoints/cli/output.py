"""What a command prints: results to standard output, everything else to standard error."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mainspring.core.errors import Kind, MainspringError

EXIT_CODES: Final[dict[Kind, int]] = {
    "invalid": 2,
    "not_found": 3,
    "denied": 4,
    "unavailable": 5,
    "timeout": 5,
    "conflict": 1,
    "broken": 1,
}
FAILED: Final = 1
_LEAST_WIDTH: Final = 12
_SMALL: Final = 10
_LARGE = 1e15


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's words go. With ``as_json`` standard output carries one document only."""

    as_json: bool = False

    def document(self, value: Any) -> None:
        """The one JSON document of a command asked with ``--json``. NaN is null."""
        import msgspec

        data = msgspec.json.encode(value, enc_hook=str)
        sys.stdout.write(msgspec.json.format(data, indent=2).decode() + "\n")

    def line(self, text: str = "") -> None:
        """A line of the result, for a person."""
        if not self.as_json:
            print(shown(text))

    def heading(self, text: str) -> None:
        """The title of a part, with an empty line before it."""
        self.line()
        self.line(text)

    def paragraph(self, text: str, *, indent: str = "") -> None:
        """A text broken at the terminal's width."""
        if not self.as_json:
            for part in text.splitlines() or [""]:
                print(_wrapped(shown(part), indent, indent))

    def fields(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Names and values below each other; an empty value is left out."""
        kept = [(name, cell(value)) for name, value in pairs if value not in (None, "", (), [])]
        width = max((len(name) for name, _ in kept), default=0) + 2
        for name, text in kept:
            if not self.as_json:
                print(_wrapped(shown(text), name.ljust(width), " " * width))

    def note(self, text: str) -> None:
        """Progress or a hint, on standard error."""
        self.progress("")
        print(shown(text), file=sys.stderr, flush=True)

    def progress(self, text: str) -> None:
        """A line that the next one replaces; only on a terminal."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{shown(text)[: _width() - 1]}")
            sys.stderr.flush()

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table for a person: numbers to the right, text to the left.

        On a terminal the widest texts are cut so that a row is a line; elsewhere nothing is cut.
        Without rows nothing is printed.
        """
        if self.as_json:
            return
        rows = [list(row) for row in rows]
        cells = [[" ".join(shown(cell(value)).split("\n")) for value in row] for row in rows]
        if not cells:
            return
        numeric = [all(_numeric(row[i]) for row in cells) for i in range(len(headings))]
        widths = [
            max([len(heading), *(len(row[i]) for row in cells)])
            for i, heading in enumerate(headings)
        ]
        if sys.stdout.isatty():
            whole = [
                right or not i or any(isinstance(row[i], datetime) for row in rows)
                for i, right in enumerate(numeric)
            ]
            widths = _fitted(widths, whole, _width())
        for row in [list(headings), *cells]:
            parts = [
                text.rjust(width) if right else _cut(text, width).ljust(width)
                for text, width, right in zip(row, widths, numeric, strict=True)
            ]
            print("  ".join(parts).rstrip())

    def fitting(self, columns: Mapping[str, Sequence[Any]]) -> list[str]:
        """The first columns that make a table no wider than the terminal; elsewhere all."""
        if not sys.stdout.isatty():
            return list(columns)
        kept: list[str] = []
        left = _width() + 2  # the last column has no gap behind it
        for name, values in columns.items():
            left -= max([len(name), *(len(shown(cell(value))) for value in values)]) + 2
            if left < 0 and kept:
                break
            kept.append(name)
        return kept


def cell(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, datetime):
        return moment(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= _LARGE:
        return f"{value:.6g}"
    return f"{value:,.4f}" if abs(value) < _SMALL else f"{value:,.1f}"


def moment(value: datetime | None) -> str:
    """A moment in UTC to the minute; to the second when that tells more."""
    if value is None:
        return "-"
    text = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return text.removesuffix(" 00:00:00") if text.endswith(" 00:00:00") else text[:16]


def shown(text: str) -> str:
    """A text that a terminal takes as letters: control characters are shown as their codes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}"
        for letter in text.replace("\t", " ")
    )


def _numeric(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "", 1).lstrip("+-").isdigit()


def _width() -> int:
    return shutil.get_terminal_size().columns


def _wrapped(text: str, first: str, rest: str) -> str:
    width = max(_width(), 40) if sys.stdout.isatty() else 100
    found = textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return found or first.rstrip()


def _fitted(widths: list[int], whole: list[bool], width: int) -> list[int]:
    """The widths with the widest texts cut until a row is a line; names, numbers and moments stay whole."""
    over = sum(widths) + 2 * (len(widths) - 1) - width
    while over > 0:
        texts = [(size, i) for i, size in enumerate(widths) if not whole[i]]
        widest, at = max(texts, default=(0, 0))
        if widest <= _LEAST_WIDTH:
            break
        widths[at] -= 1
        over -= 1
    return widths


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def report_error(error: MainspringError, output: Output) -> int:
    """Says what went wrong and what to do next; returns the exit code of its kind."""
    output.progress("")
    if output.as_json:
        output.document({"error": error.as_dict()})
    print(f"mainspring: {shown(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  {shown(error.hint)}", file=sys.stderr)
    print(f"  [{error.code}]", file=sys.stderr)
    return EXIT_CODES[error.kind]
