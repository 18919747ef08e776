"""Open Inference Protocol v2 tensors: rows in from JSON or raw bytes, answers out the same way.

Source: Open Inference Protocol REST specification (``inference_rest.md``) for the JSON form;
Triton's binary tensor data extension for raw bytes behind a JSON head. Beyond the specification a
JSON number may be null (missing), and a BYTES tensor may carry ``"nulls": [row, ...]`` in its
parameters.

A request brings one tensor per input, each (n) or (n, 1): numbers in any numeric type, categories
as BYTES. Or one single numeric tensor (n, inputs) in the order of the champion's signature, with
categories as their codes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.serving.live import Columns, LiveEndpoint
from mainspring.serving.model import MatrixColumns

MAX_CELLS: Final = 50_000_000
_KINDS: Final[Mapping[str, str]] = {
    "FP64": "<f8", "FP32": "<f4", "FP16": "<f2",
    "INT64": "<i8", "INT32": "<i4", "INT16": "<i2", "INT8": "<i1",
    "UINT64": "<u8", "UINT32": "<u4", "UINT16": "<u2", "UINT8": "<u1",
    "BOOL": "?",
}  # fmt: skip
_FLOATS: Final = frozenset({"FP64", "FP32", "FP16"})
_LENGTH: Final = struct.Struct("<I")
_NOTHING: Final = msgspec.Raw()
_MATRIX_DIMENSIONS: Final = 2

_flat_floats = msgspec.json.Decoder(list[float | None])
_flat_integers = msgspec.json.Decoder(list[int])
_flat_booleans = msgspec.json.Decoder(list[bool])
_flat_texts = msgspec.json.Decoder(list[str | None])
_nested_floats = msgspec.json.Decoder(list[list[float | None]])
_nested_integers = msgspec.json.Decoder(list[list[int]])
_nested_booleans = msgspec.json.Decoder(list[list[bool]])
_nested_texts = msgspec.json.Decoder(list[list[str | None]])


class InputTensor(msgspec.Struct):
    """A tensor as the request's JSON names it."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = _NOTHING


class OutputTensor(msgspec.Struct):
    """An output that the caller asks for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct):
    """The body of an infer request, before its tensors are read."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[OutputTensor] = []


_request = msgspec.json.Decoder(InferRequest)


def read_request(body: bytes, json_length: int | None) -> tuple[InferRequest, memoryview]:
    """The request, and the raw bytes behind its JSON head. Errors: ``serving.bad_request``."""
    length = len(body) if json_length is None else json_length
    if not 0 <= length <= len(body):
        raise _bad("The header Inference-Header-Content-Length is longer than the body")
    view = memoryview(body)
    try:
        return _request.decode(view[:length]), view[length:]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _bad(f"The body is not an inference request: {error}") from error


def read_columns(
    request: InferRequest, raw: memoryview, endpoint: LiveEndpoint
) -> tuple[Columns, int]:
    """The request's inputs as columns, and the number of rows.

    Errors: ``serving.bad_tensor``, ``serving.unknown_input``, ``serving.missing_input``.
    """
    tensors = request.inputs
    if len(tensors) == 1 and tensors[0].name not in endpoint.inputs and len(tensors[0].shape) > 1:
        values, rest = _values(tensors[0], raw)
        _all_read(rest)
        return _matrix_columns(tensors[0], values, endpoint)
    columns: dict[str, NDArray[Any]] = {}
    rows: int | None = None
    for tensor in tensors:
        kind = _check_input(tensor, endpoint, columns)
        values, raw = _values(tensor, raw)
        rows = len(values) if rows is None else rows
        if len(values) != rows:
            raise _tensor(tensor.name, f"has {len(values)} rows, the one before has {rows}")
        columns[tensor.name] = _as_column(tensor, values, kind)
    _all_read(raw)
    check_complete(columns, endpoint)
    return columns, rows or 0


def check_complete(columns: Columns, endpoint: LiveEndpoint) -> None:
    """Nothing, or an error: every required input is there. Errors: ``serving.missing_input``."""
    if len(columns) == len(endpoint.inputs):
        return
    missing = sorted(endpoint.required - columns.keys())
    if missing:
        raise Invalid(
            "serving.missing_input",
            f"The request lacks {_names(missing)}.",
            hint="Send every input; a value that is not known is null (a number may be NaN).",
            missing=missing[:20],
        )


def unknown_input(name: str, endpoint: LiveEndpoint) -> Invalid:
    """The error for an input that no variant takes."""
    return Invalid(
        "serving.unknown_input",
        f"The model has no input {name[:80]!r}.",
        hint=did_you_mean(name, endpoint.inputs),
        input=name[:80],
    )


def write_texts(values: Sequence[str]) -> bytes:
    """A BYTES tensor in raw form: each value behind its length."""
    parts: list[bytes] = []
    for value in values:
        data = value.encode()
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def _check_input(tensor: InputTensor, endpoint: LiveEndpoint, seen: Columns) -> str:
    kind = endpoint.inputs.get(tensor.name)
    if kind is None:
        raise unknown_input(tensor.name, endpoint)
    if tensor.name in seen:
        raise _tensor(tensor.name, "is there twice")
    if kind == "category" and tensor.datatype != "BYTES":
        raise _tensor(tensor.name, "is a category and must be a BYTES tensor")
    if kind == "number" and tensor.datatype == "BYTES":
        raise _tensor(tensor.name, "is a number and cannot be a BYTES tensor")
    if len(tensor.shape) > 1 and math.prod(tensor.shape[1:]) != 1:
        raise _tensor(tensor.name, "must have the shape [rows] or [rows, 1]")
    return kind


def _cells(tensor: InputTensor) -> int:
    if not tensor.shape or any(size < 0 for size in tensor.shape):
        raise _tensor(tensor.name, "has a shape that is empty or negative")
    cells = math.prod(tensor.shape)  # Python's integers do not overflow
    if cells > MAX_CELLS:
        raise _tensor(tensor.name, f"has more than {MAX_CELLS} values")
    return cells


def _values(tensor: InputTensor, raw: memoryview) -> tuple[Any, memoryview]:
    """The tensor's values as a flat list or array, and what is left of the raw bytes."""
    cells = _cells(tensor)
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return _json_values(tensor, cells), raw
    if not isinstance(size, int) or not 0 <= size <= len(raw):
        raise _tensor(tensor.name, "has a binary_data_size beyond the body")
    return _raw_values(tensor, raw[:size], cells), raw[size:]


def _json_values(tensor: InputTensor, cells: int) -> list[Any]:
    flat, nested = _decoders(tensor)
    if not tensor.data:
        raise _tensor(tensor.name, "has no data")
    values: list[Any]
    try:
        values = flat.decode(tensor.data)
    except msgspec.MsgspecError as error:
        if len(tensor.shape) == 1:
            raise _tensor(
                tensor.name, f"has data that is not {tensor.datatype}: {error}"
            ) from error
        values = _flatten(tensor, nested)
    if len(values) != cells:
        raise _tensor(tensor.name, f"has {len(values)} values for a shape of {cells}")
    return values


def _flatten(tensor: InputTensor, nested: msgspec.json.Decoder[Any]) -> list[Any]:
    try:
        rows = nested.decode(tensor.data)
    except msgspec.MsgspecError as error:
        raise _tensor(tensor.name, f"has data that is not {tensor.datatype}: {error}") from error
    width = math.prod(tensor.shape[1:])
    if len(rows) != tensor.shape[0] or any(len(row) != width for row in rows):
        raise _tensor(tensor.name, "has rows that do not fit its shape")
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
    raise _tensor(tensor.name, f"has the datatype {datatype[:40]!r}, which is not known")


def _raw_values(tensor: InputTensor, raw: memoryview, cells: int) -> Any:
    if tensor.datatype == "BYTES":
        return _raw_texts(tensor, bytes(raw), cells)
    kind = _KINDS.get(tensor.datatype)
    if kind is None:
        raise _tensor(tensor.name, f"has the datatype {tensor.datatype[:40]!r}, which is not known")
    if len(raw) != cells * np.dtype(kind).itemsize:
        raise _tensor(tensor.name, f"has {len(raw)} bytes for a shape of {cells}")
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
        raise _tensor(tensor.name, "has bytes that are not a BYTES tensor") from error
    if at != end or len(values) != cells:
        raise _tensor(tensor.name, "has bytes that do not fit its shape")
    for row in _nulls(tensor, cells):
        values[row] = None
    return values


def _nulls(tensor: InputTensor, cells: int) -> list[int]:
    nulls = tensor.parameters.get("nulls", [])
    good = isinstance(nulls, list) and all(isinstance(n, int) and 0 <= n < cells for n in nulls)
    if not good:
        raise _tensor(tensor.name, "has nulls that are not rows of it")
    return list(nulls)


def _as_column(tensor: InputTensor, values: Any, kind: str) -> NDArray[Any]:
    if kind == "category":
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    try:
        return np.asarray(values, dtype=np.float64)
    except OverflowError as error:
        raise _tensor(tensor.name, "has a number beyond 64-bit floating point") from error


def _matrix_columns(
    tensor: InputTensor, values: Any, endpoint: LiveEndpoint
) -> tuple[Columns, int]:
    inputs = endpoint.champion.model.signature.inputs
    if len(tensor.shape) != _MATRIX_DIMENSIONS or tensor.shape[1] != len(inputs):
        raise _tensor(
            tensor.name, f"is none of the inputs, and no matrix of shape [rows, {len(inputs)}]"
        )
    if tensor.datatype == "BYTES":
        raise _tensor(tensor.name, "is a matrix and must be numeric; send categories as codes")
    matrix = _as_column(tensor, values, "number").reshape(tensor.shape)
    columns = MatrixColumns(matrix, endpoint.champion.model.order)
    check_complete(columns, endpoint)
    return columns, len(matrix)


def _all_read(raw: memoryview) -> None:
    if len(raw):
        raise _bad(f"{len(raw)} bytes behind the JSON head belong to no tensor")


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")  # noqa: PLR2004


def _tensor(name: str, what: str) -> Invalid:
    return Invalid(
        "serving.bad_tensor",
        f"The tensor {name[:80]!r} {what}.",
        hint="Ask GET /v2/models/NAME for the inputs, their datatypes and shapes.",
        tensor=name[:80],
    )


def _bad(what: str) -> Invalid:
    return Invalid(
        "serving.bad_request", f"{what}.", hint="See the Open Inference Protocol, version 2."
    )
