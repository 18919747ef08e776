"""What an ONNX file asks for, read from its bytes before ONNX Runtime sees them.

ONNX Runtime follows references out of a graph: tensors kept in other files, operators from other
libraries. Both are refused here. Source: onnx/onnx.proto of the ONNX repository (field numbers),
and Protocol Buffers' encoding guide (wire types).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mainspring.serving.refusals import unreadable, unsafe

MODEL_FILE: Final = "model.onnx"
_DOMAINS: Final = {b"", b"ai.onnx", b"ai.onnx.ml"}
_DEEPEST: Final = 40
# Message, field -> the message that the field holds.
_INSIDE: Final = {
    ("model", 7): "graph",
    ("model", 8): "opset",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("graph", 15): "sparse",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 10): "tensor",
    ("attribute", 11): "graph",
    ("attribute", 22): "sparse",
    ("sparse", 1): "tensor",
    ("sparse", 2): "tensor",
}
_DOMAIN_FIELDS: Final = {("opset", 1), ("node", 7)}
_FUNCTIONS: Final = ("model", 25)
_EXTERNAL: Final = {("tensor", 13), ("tensor", 14)}
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def check_graph(data: bytes) -> None:
    """Nothing, or an error: the file is whole and holds all that it needs.

    Errors: ``serving.package_unreadable``, ``serving.package_unsafe``.
    """
    if not _walk(memoryview(data), "model", 0):
        raise unreadable(MODEL_FILE, "it holds no graph")


def _walk(data: memoryview, message: str, depth: int) -> bool:
    """Whether a graph was seen; every field of interest is checked on the way."""
    if depth > _DEEPEST:
        raise unreadable(MODEL_FILE, "its graphs are nested too deep")
    seen = False
    for field, value in _fields(data):
        place = (message, field)
        if place in _EXTERNAL and value != 0:
            raise unsafe(MODEL_FILE, "it keeps tensors in files outside of it")
        if place == _FUNCTIONS:
            raise unsafe(MODEL_FILE, "it defines operators of its own")
        if place in _DOMAIN_FIELDS and bytes(_message(value)) not in _DOMAINS:
            name = bytes(_message(value))[:60].decode(errors="replace")
            raise unsafe(MODEL_FILE, f"it uses operators of {name!r}, which no standard names")
        inside = _INSIDE.get(place)
        if inside is not None:
            _walk(_message(value), inside, depth + 1)
            seen = seen or inside == "graph"
    return seen


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise unreadable(MODEL_FILE, "it is no ONNX graph")
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            number, at = _varint(data, at)
            yield field, number
            continue
        if wire == _LENGTH:
            size, at = _varint(data, at)
        elif wire in {_EIGHT, _FOUR}:
            size = 8 if wire == _EIGHT else 4
        else:
            raise unreadable(MODEL_FILE, "it is no ONNX graph")
        if size > end - at:
            raise unreadable(MODEL_FILE, "it ends before it should")
        yield field, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:  # noqa: PLR2004 - ten bytes of seven bits
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says more follows
            return value, at
        shift += 7
    raise unreadable(MODEL_FILE, "it ends before it should")
