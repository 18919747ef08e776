"""What a command prints: results to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's words go. With ``as_json`` standard output carries one document only."""

    as_json: bool = False

    def document(self, value: Any) -> None:
        """The one JSON document of a command asked with ``--json``."""
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")

    def line(self, text: str = "") -> None:
        """A line of the result, for a person."""
        if not self.as_json:
            print(text)

    def note(self, text: str) -> None:
        """Progress or a hint, on standard error."""
        print(text, file=sys.stderr, flush=True)

    def progress(self, text: str) -> None:
        """A line that the next one replaces; only on a terminal."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table for a person: numbers to the right, text to the left."""
        if self.as_json:
            return
        cells = [[_cell(value) for value in row] for row in rows]
        numeric = [
            all(_numeric(row[i]) for row in cells) if cells else False for i in range(len(headings))
        ]
        widths = [
            max([len(heading), *(len(row[i]) for row in cells)])
            for i, heading in enumerate(headings)
        ]
        for row in [list(headings), *cells]:
            parts = [
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, numeric, strict=True)
            ]
            print("  ".join(parts).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 10 else f"{value:,.1f}"  # noqa: PLR2004 - digits
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _numeric(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "", 1).lstrip("+-").isdigit()


def report_error(error: MainspringError, output: Output) -> int:
    """Says what went wrong and what to do next; returns the exit code of its kind."""
    if output.as_json:
        output.document({"error": error.as_dict()})
    print(f"mainspring: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    print(f"  [{error.code}]", file=sys.stderr)
    return EXIT_CODES[error.kind]
