"""Step results as bytes that no loader executes: plain values as JSON, arrays as ``.npy``.

A result is a plain value (None, bool, int, float, str, bytes, list, dict), an array, or a dict of
arrays. Anything else is refused with its type: a step hands over data, not live objects.
"""

from __future__ import annotations

import io
import struct
from typing import Any, Final

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.errors import Broken, Invalid

_PLAIN, _ARRAYS, _BYTES, _ARRAY = b"J", b"F", b"B", b"A"
_LENGTH: Final = struct.Struct("<I")


def encode(value: Any) -> bytes:
    """The bytes of a result. Errors: ``pipelines.result_not_plain``."""
    if isinstance(value, bytes):
        return _BYTES + value
    if _is_array(value):
        return _ARRAY + _npy(value)
    if isinstance(value, dict) and value and all(map(_is_array, value.values())):
        return _ARRAYS + b"".join(_named(name, array) for name, array in value.items())
    try:
        return _PLAIN + canonical_json(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Invalid(
            "pipelines.result_not_plain",
            f"A step returned {type(value).__name__}, which cannot be stored ({error}).",
            hint="Return plain values, arrays or a dict of arrays; keep models in the registry.",
            type=type(value).__name__,
        ) from error


def decode(data: bytes) -> Any:
    """The result in some bytes. Errors: ``pipelines.result_unreadable``."""
    kind, body = data[:1], data[1:]
    try:
        if kind == _PLAIN:
            return msgspec.json.decode(body)
        if kind == _BYTES:
            return body
        if kind == _ARRAY:
            return _load(body)
        if kind == _ARRAYS:
            return _load_all(body)
    except (ValueError, struct.error, msgspec.DecodeError) as error:
        raise _unreadable(str(error)) from error
    raise _unreadable(f"kind {kind!r}")


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and hasattr(value, "dtype") and hasattr(value, "ndim")


def _npy(array: Any) -> bytes:
    import numpy as np

    target = io.BytesIO()
    if array.dtype.kind == "O":
        texts = [None if v is None else str(v) for v in array.tolist()]
        return b"T" + canonical_json(texts)
    np.save(target, array, allow_pickle=False)
    return b"N" + target.getvalue()


def _load(body: bytes) -> Any:
    import numpy as np

    if body[:1] == b"T":
        texts = msgspec.json.decode(body[1:], type=list[str | None])
        column = np.empty(len(texts), dtype=object)
        column[:] = texts
        return column
    return np.load(io.BytesIO(body[1:]), allow_pickle=False)


def _named(name: str, array: Any) -> bytes:
    title, body = name.encode(), _npy(array)
    return _LENGTH.pack(len(title)) + title + _LENGTH.pack(len(body)) + body


def _load_all(body: bytes) -> dict[str, Any]:
    found, at = {}, 0
    while at < len(body):
        name, at = _part(body, at)
        data, at = _part(body, at)
        found[name.decode()] = _load(data)
    return found


def _part(body: bytes, at: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(body, at)
    start = at + _LENGTH.size
    if start + length > len(body):
        raise ValueError("cut off")
    return body[start : start + length], start + length


def _unreadable(why: str) -> Broken:
    return Broken(
        "pipelines.result_unreadable",
        f"A stored step result cannot be read: {why}.",
        hint="Run the pipeline with --no-cache to make it anew.",
    )
