"""The ``source`` of a version that an MLflow client registers: where its files are said to be.

A source is text until it is used. It is parsed once into scheme and parts, by the same function
when it is stored and whenever it is followed, whatever tags or flags came with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from mainspring.core.errors import Invalid

SCHEMES: Final = frozenset({"runs", "models", "mlflow-artifacts", "s3", "gs", "https", "objects"})
_URI = re.compile(r"([a-z][a-z0-9+.-]*):(//[^/?#\\]*)?(/?[^?#\\]*)\Z")
_MOST_DECODINGS: Final = 4


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed source: no part is empty, a dot folder or hides one by percent encoding."""

    scheme: str
    authority: str
    parts: tuple[str, ...]


def parse_source(text: str) -> Source:
    """The source that a text means.

    Errors: ``registry.bad_source`` for a local path, an unknown scheme, a query, a fragment, and
    any ``..`` however often it was encoded.
    """
    found = _URI.match(text)
    if found is None or found[1] not in SCHEMES:
        raise _bad(text, f"it must start with one of {', '.join(sorted(SCHEMES))} and a colon")
    parts = tuple(part for part in found[3].split("/") if part)
    if any(_climbs(part) for part in parts) or any(letter < " " for letter in text):
        raise _bad(text, "a part of it is a dot folder or cannot be seen")
    if not parts:
        raise _bad(text, "it names nothing")
    return Source(scheme=found[1], authority=(found[2] or "//")[2:], parts=parts)


def _climbs(part: str) -> bool:
    for _ in range(_MOST_DECODINGS):
        if part in {".", ".."} or "/" in part or "\\" in part or "\x00" in part:
            return True
        decoded = unquote(part)
        if decoded == part:
            return False
        part = decoded
    return True


def _bad(text: str, why: str) -> Invalid:
    return Invalid(
        "registry.bad_source",
        f"{text[:120]!r} cannot be the source of a model version: {why}.",
        hint="Log the model to a run and register it from there.",
        source=ascii(text[:120]),
    )
