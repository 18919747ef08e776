"""A TOML text as plain values, with the line and column of every key.

The standard library's reader checks the grammar but forgets where a key stood. The locator here
walks over the same text once, in linear time, and remembers. It runs first, so it also keeps out
what would make the reader slow or deep: it knows the limits below and nothing else of validity;
at the first thing that is not TOML it stops, and the reader says what is wrong.

Source: TOML 1.0.0, https://toml.io/en/v1.0.0 (keys, strings, arrays, inline tables).
"""

from __future__ import annotations

import bisect
import re
import tomllib
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final, NamedTuple

from mainspring.core.errors import Invalid

Path = tuple[str | int, ...]

MAX_DOCUMENT_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 32  # of tables, lists and dotted keys together
MAX_VALUES: Final = 100_000
MAX_SCALAR_LENGTH: Final = 256  # of a value without quotes; Python refuses longer integers anyway

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"' + r"|'[^'\n]*'")
_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_WHERE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


class Position(NamedTuple):
    """Line and column of a text, both counted from one, in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a TOML text and where their keys stand."""

    value: dict[str, Any]
    offsets: dict[Path, int]
    line_starts: tuple[int, ...]

    def position(self, path: Path) -> Position:
        """Where this key (or list element) stands; failing that, the nearest key around it."""
        while path and path not in self.offsets:
            path = path[:-1]
        return _position(self.line_starts, self.offsets.get(path, 0))


def parse_document(text: str) -> Document:
    """The document of a TOML text; dates and times come out as ISO 8601 text.

    Errors: ``core.bad_toml`` with ``line`` and ``column`` for a text that is not TOML or beyond
    the limits of this module.
    """
    if len(text) > MAX_DOCUMENT_BYTES:
        raise _bad_toml(f"More than {MAX_DOCUMENT_BYTES:,} characters.", Position(1, 1))
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    line_starts = (0, *(found.end() for found in re.finditer("\n", text)))
    locator = _Locator(text, line_starts)
    locator.run()
    try:
        value = tomllib.loads(text)
    except ValueError as error:
        raise _translate(str(error), text, line_starts) from None
    return Document(_plain(value), locator.offsets, line_starts)


def dotted(path: Path) -> str:
    """The path as people write it: ``gates[0].metric``; odd keys in quotes."""
    words: list[str] = []
    for part in path:
        if isinstance(part, int):
            words.append(f"[{part}]")
            continue
        shown = part if _BARE_KEY.fullmatch(part) else repr(part[:80])
        words.append(f".{shown[:80]}" if words else shown[:80])
    return "".join(words)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date | datetime | time) else value


def _position(line_starts: tuple[int, ...], offset: int) -> Position:
    line = bisect.bisect_right(line_starts, offset)
    return Position(line, offset - line_starts[line - 1] + 1)


def _bad_toml(message: str, at: Position, hint: str = "") -> Invalid:
    return Invalid("core.bad_toml", message, hint=hint, line=at.line, column=at.column)


def _translate(message: str, text: str, line_starts: tuple[int, ...]) -> Invalid:
    found = _WHERE.fullmatch(message)
    at = _position(line_starts, len(text))
    if found and found[2]:
        at = Position(int(found[2]), int(found[3]))
    what = found[1] if found else message
    return _bad_toml(f"{what}.", at, _syntax_hint(what))


def _syntax_hint(message: str) -> str:
    if message.startswith(("Invalid value", "Unbalanced quotes")):
        return 'Text stands in double quotes: key = "text"; true and false are lower case.'
    if message.startswith(("Cannot overwrite", "Cannot declare", "Duplicate")):
        return "The same key or [table] stands twice; keep one."
    if message.startswith(("Invalid statement", "Expected")):
        return 'A line is a [table], a key = value, or a comment behind "#".'
    return ""


class _NotToml(Exception):  # noqa: N818 - never leaves this module; the reader tells the error
    """The text stops being TOML here."""


class _Locator:
    """One walk over a text that fills ``offsets``: the path of a key -> where it first stands."""

    def __init__(self, text: str, line_starts: tuple[int, ...]) -> None:
        self.text = text
        self.line_starts = line_starts
        self.offsets: dict[Path, int] = {}
        self._lengths: dict[Path, int] = {}  # of the arrays of tables

    def run(self) -> None:
        try:
            self._statements()
        except _NotToml:
            return

    def _statements(self) -> None:
        table: Path = ()
        at = self._match(_GAP, 0)
        while at < len(self.text):
            if self.text[at] == "[":
                table, at = self._header(at)
            else:
                at = self._pair(at, table)
            at = self._match(_GAP, self._match(_REST, at))

    def _header(self, at: int) -> tuple[Path, int]:
        many = self.text.startswith("[[", at)
        parts, end = self._key(at + (2 if many else 1))
        path: Path = ()
        for name, offset in parts[:-1]:
            path = self._open(self._mark((*path, name), offset))
        name, offset = parts[-1]
        path = self._mark((*path, name), offset)
        if many:
            index = self._lengths.get(path, 0)
            self._lengths[path] = index + 1
            path = self._mark((*path, index), offset)
        return path, self._expect("]]" if many else "]", end)

    def _open(self, path: Path) -> Path:
        """The table that a header's prefix means: of an array of tables, the newest."""
        length = self._lengths.get(path)
        return path if length is None else (*path, length - 1)

    def _pair(self, at: int, table: Path) -> int:
        parts, at = self._key(at)
        path = table
        for name, offset in parts:
            path = self._mark((*path, name), offset)
        at = self._match(_BLANK, self._expect("=", at))
        return self._value(at, path)

    def _key(self, at: int) -> tuple[list[tuple[str, int]], int]:
        parts: list[tuple[str, int]] = []
        while True:
            at = self._match(_BLANK, at)
            name, end = self._key_part(at)
            parts.append((name, at))
            if len(parts) > MAX_DEPTH:
                raise self._too_deep(at)
            at = self._match(_BLANK, end)
            if not self.text.startswith(".", at):
                return parts, at
            at += 1

    def _key_part(self, at: int) -> tuple[str, int]:
        found = _BARE_KEY.match(self.text, at)
        if found:
            return found[0], found.end()
        end = self._match(_QUOTED, at)
        token = self.text[at:end]
        if "\\" not in token:
            return token[1:-1], end
        try:
            return str(tomllib.loads(f"k = {token}")["k"]), end
        except ValueError:
            raise _NotToml from None

    def _value(self, at: int, path: Path) -> int:
        first = self.text[at : at + 1]
        if first == "[":
            return self._array(at + 1, path)
        if first == "{":
            return self._inline_table(at + 1, path)
        if first in {'"', "'"}:
            return self._string(at)
        end = self._match(_SCALAR, at)
        if end - at > MAX_SCALAR_LENGTH:
            problem = f"A value without quotes has more than {MAX_SCALAR_LENGTH} characters."
            raise _bad_toml(problem, _position(self.line_starts, at), "Put text in quotes.")
        return end

    def _string(self, at: int) -> int:
        quotes = self.text[at] * 3
        if not self.text.startswith(quotes, at):
            return self._match(_QUOTED, at)
        end = self.text.find(quotes, at + 3)
        while quotes == '"""' and end >= 0 and self._is_escaped(end, at + 3):
            end = self.text.find(quotes, end + 1)
        if end < 0:
            raise _NotToml
        # Up to two more quotes belong to the text: '''a''''' holds a''.
        end += 3
        extra = 0
        while extra < 2 and self.text.startswith(quotes[0], end):  # noqa: PLR2004 - see above
            end, extra = end + 1, extra + 1
        return end

    def _is_escaped(self, at: int, start: int) -> bool:
        backslashes = 0
        while at - backslashes > start and self.text[at - backslashes - 1] == "\\":
            backslashes += 1
        return backslashes % 2 == 1

    def _array(self, at: int, path: Path) -> int:
        index = 0
        at = self._match(_GAP, at)
        while not self.text.startswith("]", at):
            at = self._value(at, self._mark((*path, index), at))
            at = self._match(_GAP, at)
            index += 1
            if self.text.startswith(",", at):
                at = self._match(_GAP, at + 1)
            elif not self.text.startswith("]", at):
                raise _NotToml
        return at + 1

    def _inline_table(self, at: int, path: Path) -> int:
        at = self._match(_GAP, at)
        while not self.text.startswith("}", at):
            at = self._match(_GAP, self._pair(at, path))
            if self.text.startswith(",", at):
                at = self._match(_GAP, at + 1)
            elif not self.text.startswith("}", at):
                raise _NotToml
        return at + 1

    def _match(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self.text, at)
        if found is None:
            raise _NotToml
        return found.end()

    def _expect(self, word: str, at: int) -> int:
        if not self.text.startswith(word, at):
            raise _NotToml
        return at + len(word)

    def _mark(self, path: Path, offset: int) -> Path:
        if len(path) > MAX_DEPTH:
            raise self._too_deep(offset)
        if len(self.offsets) >= MAX_VALUES:
            problem = f"More than {MAX_VALUES:,} keys and values."
            raise _bad_toml(problem, _position(self.line_starts, offset))
        self.offsets.setdefault(path, offset)
        return path

    def _too_deep(self, offset: int) -> Invalid:
        problem = f"Nested deeper than {MAX_DEPTH} levels."
        return _bad_toml(problem, _position(self.line_starts, offset))
