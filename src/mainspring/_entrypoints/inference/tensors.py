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

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring._entrypoints.inference.tensor_values import (
    InputTensor,
    bad_tensor,
    json_values,
    raw_values,
)
from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.serving.live import Columns, LiveEndpoint
from mainspring.serving.model import MatrixColumns

_LENGTH: Final = struct.Struct("<I")
_MATRIX_DIMENSIONS: Final = 2


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
    """The request's inputs as columns, and the number of rows. Errors: as :func:`columns_of`."""
    behind = _Behind(raw)
    columns, rows = columns_of(request.inputs, behind.values, endpoint)
    if len(behind.raw):
        raise _bad(f"{len(behind.raw)} bytes behind the JSON head belong to no tensor")
    return columns, rows


class _Behind:
    """The raw bytes behind a JSON head, taken tensor by tensor."""

    def __init__(self, raw: memoryview) -> None:
        self.raw = raw

    def values(self, tensor: InputTensor) -> Any:
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            return json_values(tensor)
        if not isinstance(size, int) or not 0 <= size <= len(self.raw):
            raise bad_tensor(tensor.name, "has a binary_data_size beyond the body")
        raw, self.raw = self.raw[:size], self.raw[size:]
        return raw_values(tensor, raw)


def columns_of(
    tensors: Sequence[InputTensor],
    values_of: Callable[[InputTensor], Any],
    endpoint: LiveEndpoint,
) -> tuple[Columns, int]:
    """Tensors as columns, and the number of rows; ``values_of`` is asked in their order.

    Errors: ``serving.bad_tensor``, ``serving.unknown_input``, ``serving.missing_input``.
    """
    if len(tensors) == 1 and tensors[0].name not in endpoint.inputs and len(tensors[0].shape) > 1:
        return _matrix_columns(tensors[0], values_of(tensors[0]), endpoint)
    columns: dict[str, NDArray[Any]] = {}
    rows: int | None = None
    for tensor in tensors:
        kind = _check_input(tensor, endpoint, columns)
        values = values_of(tensor)
        rows = len(values) if rows is None else rows
        if len(values) != rows:
            raise bad_tensor(tensor.name, f"has {len(values)} rows, the one before has {rows}")
        columns[tensor.name] = _as_column(tensor, values, kind)
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
        raise bad_tensor(tensor.name, "is there twice")
    if kind == "category" and tensor.datatype != "BYTES":
        raise bad_tensor(tensor.name, "is a category and must be a BYTES tensor")
    if kind == "number" and tensor.datatype == "BYTES":
        raise bad_tensor(tensor.name, "is a number and cannot be a BYTES tensor")
    if len(tensor.shape) > 1 and any(size != 1 for size in tensor.shape[1:]):
        raise bad_tensor(tensor.name, "must have the shape [rows] or [rows, 1]")
    return kind


def _as_column(tensor: InputTensor, values: Any, kind: str) -> NDArray[Any]:
    if kind == "category":
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    try:
        return np.asarray(values, dtype=np.float64)
    except OverflowError as error:
        raise bad_tensor(tensor.name, "has a number beyond 64-bit floating point") from error


def _matrix_columns(
    tensor: InputTensor, values: Any, endpoint: LiveEndpoint
) -> tuple[Columns, int]:
    inputs = endpoint.champion.model.signature.inputs
    if len(tensor.shape) != _MATRIX_DIMENSIONS or tensor.shape[1] != len(inputs):
        raise bad_tensor(
            tensor.name, f"is none of the inputs, and no matrix of shape [rows, {len(inputs)}]"
        )
    if tensor.datatype == "BYTES":
        raise bad_tensor(tensor.name, "is a matrix and must be numeric; send categories as codes")
    matrix = _as_column(tensor, values, "number").reshape(tensor.shape)
    columns = MatrixColumns(matrix, endpoint.champion.model.order)
    check_complete(columns, endpoint)
    return columns, len(matrix)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")  # noqa: PLR2004


def _bad(what: str) -> Invalid:
    return Invalid(
        "serving.bad_request", f"{what}.", hint="See the Open Inference Protocol, version 2."
    )
