"""Attribute values of spans as plain JSON and back, without loss.

What JSON lacks is written as an object with one key that begins with ``~``: bytes, and the floats
that are not numbers. An attribute that is such an object itself gets one ``~`` more.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_BYTES: Final = "~bytes"
_DOUBLE: Final = "~double"
_encode = msgspec.json.Encoder().encode


def to_json(value: Any) -> Any:
    """The value in types that JSON has."""
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {_DOUBLE: repr(value)}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    if isinstance(value, Mapping):
        plain = {key: to_json(one) for key, one in value.items()}
        return {f"~{key}": one for key, one in plain.items()} if _marked(plain) else plain
    return value


def from_json(value: Any) -> Any:
    """The value that :func:`to_json` wrote."""
    if isinstance(value, list):
        return [from_json(one) for one in value]
    if not isinstance(value, dict):
        return value
    if _marked(value):
        [(key, inner)] = value.items()
        if key == _BYTES:
            return base64.b64decode(inner)
        if key == _DOUBLE:
            return float(inner)
        return {key[1:]: from_json(inner)}
    return {key: from_json(one) for key, one in value.items()}


def _marked(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith("~")


def as_text(value: Any) -> str:
    """The value as searches compare it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else _encode(to_json(value)).decode()
