"""Columns as an Arrow IPC stream: one schema, one batch, the mark of the end.

Source: Apache Arrow columnar format 1.5, "Serialization and Interprocess Communication".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._entrypoints.inference.flatbuffers import Node, Number, Pairs, write

_V5: Final = Number("<h", 4)
_FLOAT, _UTF8, _BOOL = 3, 5, 6
_DOUBLE: Final = 2
_CONTINUED: Final = b"\xff\xff\xff\xff"
_END: Final = _CONTINUED + bytes(4)
Column = NDArray[Any] | list[str]


def write_arrow(columns: Mapping[str, Column], metadata: Mapping[str, str]) -> bytes:
    """Float64 and boolean arrays and lists of texts, all as long, with what the schema says."""
    schema: Node = {
        1: [_field(name, column) for name, column in columns.items()],
        2: [{0: name, 1: value} for name, value in metadata.items()],
    }
    rows = len(next(iter(columns.values()), []))
    buffers = [buffer for column in columns.values() for buffer in _buffers(column)]
    places, body = _laid_out(buffers)
    batch: Node = {
        0: Number("<q", rows),
        1: Pairs([(rows, 0)] * len(columns)),
        2: Pairs(places),
    }
    return _message(1, schema, b"") + _message(3, batch, body) + _END


def _message(kind: int, header: Node, body: bytes) -> bytes:
    message: Node = {0: _V5, 1: Number("<B", kind), 2: header, 3: Number("<q", len(body))}
    data = write(message)
    return _CONTINUED + struct.pack("<i", len(data)) + data + body


def _field(name: str, column: Column) -> Node:
    kind, described = _type(column)
    return {0: name, 1: Number("<B", 0), 2: Number("<B", kind), 3: described, 5: []}


def _type(column: Column) -> tuple[int, Node]:
    if isinstance(column, list):
        return _UTF8, {}
    if column.dtype == np.bool_:
        return _BOOL, {}
    return _FLOAT, {0: Number("<h", _DOUBLE)}


def _buffers(column: Column) -> list[bytes]:
    """A column's buffers; the first, which says what is null, is empty: nothing is."""
    if isinstance(column, list):
        texts = [text.encode() for text in column]
        offsets = np.cumsum([0, *map(len, texts)], dtype="<i4")
        return [b"", offsets.tobytes(), b"".join(texts)]
    if column.dtype == np.bool_:
        return [b"", np.packbits(column, bitorder="little").tobytes()]
    return [b"", np.asarray(column, dtype="<f8").tobytes()]


def _laid_out(buffers: Sequence[bytes]) -> tuple[list[tuple[int, int]], bytes]:
    """Where each buffer lies, and all of them, each padded to eight bytes."""
    places, parts, at = [], [], 0
    for buffer in buffers:
        padded = buffer + bytes(-len(buffer) % 8)
        places.append((at, len(buffer)))
        parts.append(padded)
        at += len(padded)
    return places, b"".join(parts)
