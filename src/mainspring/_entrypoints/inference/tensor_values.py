"""The values of one Open Inference Protocol tensor, from JSON, raw bytes or typed lists.

Every shape is checked against what is there before anything of its size is made.

Source: Open Inference Protocol REST specification (``inference_rest.md``) for the JSON form;
Triton's binary tensor data extension for raw bytes; the gRPC specification for typed contents.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from mainspring.core.errors import Invalid

MAX_CELLS: Final = 50_000_000
_MOST_DIMENSIONS: Final = 8
_KINDS: Final[Mapping[str, str]] = {
    "FP64": "<f8", "FP32": "<f4", "FP16": "<f2",
    "INT64": "<i8", "INT32": "<i4", "INT16": "<i2", "INT8": "<i1",
    "UINT64": "<u8", "UINT32": "<u4", "UINT16": "<u2", "UINT8": "<u1",
    "BOOL": "?",
}  # fmt: skip
_FLOATS: Final = frozenset({"FP64", "FP32", "FP16"})
_LENGTH: Final = struct.Struct("<I")
_NOTHING: Final = msgspec.Raw()

_flat_floats = msgspec.json.Decoder(list[float | None])
_flat_integers = msgspec.json.Decoder(list[int | None])
_flat_booleans = msgspec.json.Decoder(list[bool | None])
_flat_texts = msgspec.json.Decoder(list[str | None])
_nested_floats = msgspec.json.Decoder(list[list[float | None]])
_nested_integers = msgspec.json.Decoder(list[list[int | None]])
_nested_booleans = msgspec.json.Decoder(list[list[bool | None]])
_nested_texts = msgspec.json.Decoder(list[list[str | None]])


class InputTensor(msgspec.Struct):
    """A tensor as the request's JSON names it."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = _NOTHING


def count_cells(tensor: InputTensor) -> int:
    """How many values a tensor's shape says. Errors: ``serving.bad_tensor``."""
    # Few dimensions, for the product of a million of them would take minutes to multiply.
    if not 0 < len(tensor.shape) <= _MOST_DIMENSIONS:
        raise bad_tensor(tensor.name, f"must have 1 to {_MOST_DIMENSIONS} dimensions")
    if any(size < 0 for size in tensor.shape):
        raise bad_tensor(tensor.name, "has a negative dimension")
    cells = math.prod(tensor.shape)  # Python's integers do not overflow
    if cells > MAX_CELLS:
        raise bad_tensor(tensor.name, f"has more than {MAX_CELLS} values")
    return cells


def json_values(tensor: InputTensor) -> list[Any]:
    """The values in a tensor's JSON, flat or nested. Errors: ``serving.bad_tensor``."""
    cells = count_cells(tensor)
    flat, nested = _decoders(tensor)
    if not tensor.data:
        raise bad_tensor(tensor.name, "has no data")
    values: list[Any]
    try:
        values = flat.decode(tensor.data)
    except msgspec.MsgspecError as error:
        if len(tensor.shape) == 1:
            raise bad_tensor(
                tensor.name, f"has data that is not {tensor.datatype}: {error}"
            ) from error
        values = _flatten(tensor, nested)
    if len(values) != cells:
        raise bad_tensor(tensor.name, f"has {len(values)} values for a shape of {cells}")
    return values


def _flatten(tensor: InputTensor, nested: msgspec.json.Decoder[Any]) -> list[Any]:
    try:
        rows = nested.decode(tensor.data)
    except msgspec.MsgspecError as error:
        raise bad_tensor(tensor.name, f"has data that is not {tensor.datatype}: {error}") from error
    width = math.prod(tensor.shape[1:])
    if len(rows) != tensor.shape[0] or any(len(row) != width for row in rows):
        raise bad_tensor(tensor.name, "has rows that do not fit its shape")
    return [value for row in rows for value in row]


def _decoders(tensor: InputTensor) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    datatype = tensor.datatype
    if datatype in _FLOATS:
        return _flat_floats, _nested_floats
    if datatype == "BYTES":
        return _flat_texts, _nested_texts
    if datatype == "BOOL":
        return _flat_booleans, _nested_booleans
    if datatype in _KINDS:
        return _flat_integers, _nested_integers
    raise bad_tensor(tensor.name, f"has the datatype {datatype[:40]!r}, which is not known")


def raw_values(tensor: InputTensor, raw: memoryview) -> Any:
    """The values in a tensor's raw bytes. Errors: ``serving.bad_tensor``."""
    cells = count_cells(tensor)
    if tensor.datatype == "BYTES":
        return _raw_texts(tensor, bytes(raw), cells)
    kind = _KINDS.get(tensor.datatype)
    if kind is None:
        raise bad_tensor(
            tensor.name, f"has the datatype {tensor.datatype[:40]!r}, which is not known"
        )
    if len(raw) != cells * np.dtype(kind).itemsize:
        raise bad_tensor(tensor.name, f"has {len(raw)} bytes for a shape of {cells}")
    return np.frombuffer(raw, dtype=kind)


def _raw_texts(tensor: InputTensor, raw: bytes, cells: int) -> list[str | None]:
    values: list[str | None] = []
    at, end = 0, len(raw)
    try:
        for _ in range(cells):
            (length,) = _LENGTH.unpack_from(raw, at)
            start, at = at + 4, at + 4 + length
            if at > end:
                break
            values.append(raw[start:at].decode())
    except (struct.error, UnicodeDecodeError) as error:
        raise bad_tensor(tensor.name, "has bytes that are not a BYTES tensor") from error
    if at != end or len(values) != cells:
        raise bad_tensor(tensor.name, "has bytes that do not fit its shape")
    for row in _nulls(tensor, cells):
        values[row] = None
    return values


def _nulls(tensor: InputTensor, cells: int) -> list[int]:
    nulls = tensor.parameters.get("nulls", [])
    good = isinstance(nulls, list) and all(isinstance(n, int) and 0 <= n < cells for n in nulls)
    if not good:
        raise bad_tensor(tensor.name, "has nulls that are not rows of it")
    return list(nulls)


def bad_tensor(name: str, what: str) -> Invalid:
    """The error for a tensor that is not what it says, or not what the model takes."""
    return Invalid(
        "serving.bad_tensor",
        f"The tensor {name[:80]!r} {what}.",
        hint="Ask GET /v2/models/NAME for the inputs, their datatypes and shapes.",
        tensor=name[:80],
    )
