"""The YAML that MLflow's file store writes: one flat mapping of names to scalars.

PyYAML wrote it (``yaml.dump`` in block style), so a name is plain, a value plain or quoted, and a
long value goes on in indented lines. Nested values (``tags: []``) are not needed and are left out.
Source: YAML 1.2.2, sections 7.3 and 6.5; mlflow/utils/yaml_utils.py.
"""

from __future__ import annotations

import re
from typing import Final

_KEY: Final = re.compile(r"([A-Za-z_][\w.-]*):(?: (.*))?\Z")
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\n *)|(.))", re.DOTALL
)
_LETTERS: Final = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r",
    "e": "\x1b", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_NOTHING: Final = frozenset({"", "null", "~", "Null", "NULL"})


def parse_flat(text: str) -> dict[str, str | None]:
    r"""Names and values; a value that is nothing is None.

    Example:
        >>> parse_flat("name: 'it''s'\nend_time: null\nlong: one\n  two\n")
        {'name': "it's", 'end_time': None, 'long': 'one two'}
    """
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        found = _KEY.match(line)
        if found and not _open_quote(current):
            current = parts.setdefault(found[1], [])
            current.append(found[2] or "")
        else:
            current.append(line)
    return {name: _scalar(lines) for name, lines in parts.items()}


def parse_below(text: str, name: str) -> dict[str, str | None]:
    r"""Names and values of the mapping below a name; none when it holds none.

    Example:
        >>> parse_below("step: 0\ntags:\n  a.b: 'x'\nz: 1\n", "tags")
        {'a.b': 'x'}
    """
    below: list[str] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith(" "):
            inside = line.rstrip() == f"{name}:"
        elif inside:
            below.append(line.removeprefix("  "))
    return parse_flat("\n".join(below))


def _open_quote(lines: list[str]) -> bool:
    """Whether a quoted value goes on: an indented line may look like a name."""
    text = "\n".join(lines)
    if text.startswith("'"):
        return (text.count("'") % 2) == 1
    if text.startswith('"'):
        return re.search(r'(?<!\\)(?:\\\\)*"\s*\Z', text[1:]) is None
    return False


def _scalar(lines: list[str]) -> str | None:
    if lines[0].startswith('"'):
        whole = "\n".join(lines).strip()[1:-1]
        return _ESCAPE.sub(_unescape, _fold_escaped(whole))
    text = _fold(lines)
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    return None if text in _NOTHING else text


def _fold(lines: list[str]) -> str:
    """Line folding: one break is a space, each further one a break."""
    text, empty = lines[0].strip(), 0
    for line in lines[1:]:
        part = line.strip()
        if not part:
            empty += 1
            continue
        text += "\n" * empty if empty else " "
        text, empty = text + part, 0
    return text


def _fold_escaped(text: str) -> str:
    # A break behind a backslash joins the lines as they are; any other is a space.
    joined = re.sub(r"(?<!\\)((?:\\\\)*)\\\n[ \t]*", r"\1", text)
    return re.sub(r"[ \t]*\n[ \t]*", " ", joined)


def _unescape(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if code:
        return chr(int(code, 16))
    return "" if found[4] else _LETTERS.get(found[5], found[5])
