"""Plain values as YAML that people read: block style, every text in quotes.

Source: YAML 1.2.2; a double-quoted JSON string is a YAML string (section 1.2, "Relation to JSON").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
_ASTRAL: Final = 0x10000
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def documents(values: Iterable[Mapping[str, Any]]) -> str:
    """The values as YAML documents, one after the other."""
    return "".join("\n".join(["---", *_lines(one), ""]) for one in values)


def _lines(value: Any) -> Iterator[str]:
    """The lines of a mapping or a list that is not empty."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _entry(f"{_text(str(key))}:", inner, "  ")
    else:
        for inner in value:
            first, *rest = _lines(inner) if _nested(inner) else [_scalar(inner)]
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if not _nested(value):
        yield f"{head} {_scalar(value)}"
        return
    yield head
    yield from (f"{indent}{line}" for line in _lines(value))


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and len(value) > 0


def _scalar(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    if _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    # As in JSON, but YAML knows no pairs of surrogates.
    letters = (
        json.dumps(letter)[1:-1] if ord(letter) < _ASTRAL else f"\\U{ord(letter):08x}"
        for letter in value
    )
    return f'"{"".join(letters)}"'
