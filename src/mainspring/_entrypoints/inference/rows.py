"""The two usual requests, read in one pass by decoders made from the model's signature.

One row by name: the tensors are told apart by their names, so their types are known while their
JSON is read. Or one matrix of numbers. Whatever a decoder does not take (several rows by name, other
datatypes, a wrong value, a name that no input has) is left to the general reader, which says exactly
what is wrong.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Union

import msgspec
import numpy as np

from mainspring._entrypoints.inference.tensors import InferRequest, OutputTensor
from mainspring.core.schema import InputColumn
from mainspring.serving.live import Columns
from mainspring.serving.model import MatrixColumns, Order, RowColumns

_ONE: Final = ([1], [1, 1])
_MATRIX_DIMENSIONS: Final = 2
_RAW: Final = "binary_data_size"
_FLOATS = Literal["FP64", "FP32", "FP16"]
Read = tuple[InferRequest, Columns, int]


class _Matrix(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: _FLOATS
    data: list[float | None]
    parameters: dict[str, Any] = {}


class _MatrixRequest(msgspec.Struct):
    inputs: list[_Matrix]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[OutputTensor] = []


_matrix = msgspec.json.Decoder(_MatrixRequest)


class RowReader:
    """Reads requests of one row for one signature."""

    def __init__(self, order: Order) -> None:
        self.order = order
        kinds = tuple(_tensor(place, one) for place, one in enumerate(order.inputs))
        request = msgspec.defstruct(
            "RowRequest",
            [
                ("inputs", list[Union[kinds]]),  # type: ignore[valid-type] # noqa: UP007 - made here
                ("id", str | None, None),
                ("parameters", dict[str, Any], msgspec.field(default_factory=dict)),
                ("outputs", list[OutputTensor], msgspec.field(default_factory=list)),
            ],
        )
        self._named: msgspec.json.Decoder[Any] = msgspec.json.Decoder(request)
        self._ways = [self._read_named, self._read_matrix]

    def read(self, body: bytes) -> Read | None:
        """The request, its columns and its number of rows; None for the general reader."""
        first, second = self._ways
        found = first(body)
        if found is None and (found := second(body)) is not None:
            self._ways = [second, first]  # callers seldom change their ways
        return found

    def _read_matrix(self, body: bytes) -> Read | None:
        try:
            request = _matrix.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if len(request.inputs) != 1:
            return None
        (tensor,), width = request.inputs, len(self.order.places)
        good = (
            len(tensor.shape) == _MATRIX_DIMENSIONS
            and tensor.shape[1] == width
            and tensor.shape[0] * width == len(tensor.data)
            and tensor.name not in self.order.places
            and _RAW not in tensor.parameters
        )
        if not good or tensor.shape[0] < 0:
            return None
        matrix = np.array(tensor.data, dtype=np.float64).reshape(tensor.shape)
        return _plain(request), MatrixColumns(matrix, self.order), len(matrix)

    def _read_named(self, body: bytes) -> Read | None:
        try:
            request = self._named.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        cells: list[Any] = [None] * len(self.order.places)
        seen = 0
        for tensor in request.inputs:
            data = tensor.data
            if len(data) != 1 or tensor.shape not in _ONE or _RAW in tensor.parameters:
                return None
            cells[tensor.place] = data[0]
            seen |= 1 << tensor.place
        if len(request.inputs) != len(cells) or seen != (1 << len(cells)) - 1:
            return None
        return _plain(request), RowColumns(cells, self.order), 1


def _plain(request: Any) -> InferRequest:
    return InferRequest(
        inputs=[], id=request.id, parameters=request.parameters, outputs=request.outputs
    )


def _tensor(place: int, column: InputColumn) -> type[msgspec.Struct]:
    number = column.type == "number"
    return msgspec.defstruct(
        f"Input{place}",
        [
            ("shape", list[int]),
            ("datatype", _FLOATS if number else Literal["BYTES"]),
            ("data", list[float | None] if number else list[str | None]),
            ("parameters", dict[str, Any], msgspec.field(default_factory=dict)),
        ],
        tag_field="name",
        tag=column.name,
        namespace={"place": place},
        gc=False,
    )
