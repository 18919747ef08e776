"""Spans in OTLP's binary encoding, read by hand: a few messages, no library, no recursion bombs.

Source: opentelemetry-proto 1.9, ``collector/trace/v1/trace_service.proto``, ``trace/v1/trace.proto``
and ``common/v1/common.proto``; the encoding of protocol buffers,
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from mainspring.core.errors import Invalid
from mainspring.tracking.traces_limits import MAX_DEPTH
from mainspring.tracking.traces_types import PREFIX, Event, Incoming, Link, Span, SpanStatus

STATUSES: Final[tuple[SpanStatus, ...]] = ("UNSET", "OK", "ERROR")
_MASK: Final = (1 << 64) - 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10
Field = tuple[int, Any]  # number, and an integer or bytes


def malformed(fault: str) -> Invalid:
    """The error for bytes that are not such a message."""
    return Invalid("otlp.malformed", f"The body is not an OTLP request: {fault}.")


def read_request(body: bytes) -> Iterator[Incoming]:
    """The spans of an ExportTraceServiceRequest. Errors: ``otlp.malformed``."""
    for number, value in _fields(body):
        if number == 1:
            yield from _resource_spans(_bytes(value))


def write_partial(rejected: int, message: str) -> bytes:
    """An ExportTraceServiceResponse; empty when every span was taken."""
    if not rejected:
        return b""
    partial = b"\x08" + _varint(rejected) + _text(b"\x12", message)
    return b"\x0a" + _varint(len(partial)) + partial


def write_status(code: int, message: str) -> bytes:
    """A ``google.rpc.Status``."""
    return b"\x08" + _varint(code) + _text(b"\x12", message)


def _text(tag: bytes, text: str) -> bytes:
    data = text.encode()
    return tag + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits to a byte
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


# -- the encoding ---------------------------------------------------------------------------------


def _fields(data: bytes) -> Iterator[Field]:
    """The fields of a message, in order, known or not."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise malformed("a field has no number")
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _read_varint(data, at)
        elif kind in {_FIXED64, _FIXED32}:
            length = 8 if kind == _FIXED64 else 4
        else:
            raise malformed(f"a field has the unknown type {kind}")
        if length > end - at:
            raise malformed("it ends too early")
        part = data[at : at + length]
        at += length
        yield number, part if kind == _BYTES else int.from_bytes(part, "little")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for index in range(_LONGEST_VARINT):
        if at >= len(data):
            raise malformed("it ends too early")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a number
            return number & _MASK, at
    raise malformed("a number is too long")


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise malformed("a field has the wrong type")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise malformed("a field has the wrong type")
    return value


def _string(value: Any) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise malformed("a text is not UTF-8") from error


def _signed(value: Any) -> int:
    number = _whole(value)
    return number - (1 << 64) if number >> 63 else number


def _double(value: Any) -> float:
    found: float = struct.unpack("<d", _whole(value).to_bytes(8, "little"))[0]
    return found


# -- the messages ---------------------------------------------------------------------------------


def _resource_spans(data: bytes) -> Iterator[Incoming]:
    resource: dict[str, Any] = {}
    scopes: list[bytes] = []
    for number, value in _fields(data):
        if number == 1:
            resource = _attributes(_fields(_bytes(value)), 1)
        elif number == 2:  # noqa: PLR2004 - scope_spans
            scopes.append(_bytes(value))
    for scope in scopes:
        for number, value in _fields(scope):
            if number == 2:  # noqa: PLR2004 - spans
                yield _span(_bytes(value), resource)


def _attributes(fields: Iterable[Field], wanted: int) -> dict[str, Any]:
    """The attributes among the fields of a message; of a key given twice the last."""
    return dict(_key_value(_bytes(value), 0) for number, value in fields if number == wanted)


def _key_value(data: bytes, depth: int) -> tuple[str, Any]:
    key, found = "", None
    for number, value in _fields(data):
        if number == 1:
            key = _string(value)
        elif number == 2:  # noqa: PLR2004 - value
            found = _any_value(_bytes(value), depth)
    return key, found


def _any_value(data: bytes, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise malformed("a value is nested too deeply")
    found = None
    for number, value in _fields(data):
        if number in _SIMPLE:
            found = _SIMPLE[number](value)
        elif number == 5:  # noqa: PLR2004 - array_value
            parts = (inner for field, inner in _fields(_bytes(value)) if field == 1)
            found = [_any_value(_bytes(inner), depth + 1) for inner in parts]
        elif number == 6:  # noqa: PLR2004 - kvlist_value
            parts = (inner for field, inner in _fields(_bytes(value)) if field == 1)
            found = dict(_key_value(_bytes(inner), depth + 1) for inner in parts)
    return found


_SIMPLE: Final[dict[int, Callable[[Any], Any]]] = {
    1: _string,
    2: lambda value: bool(_whole(value)),
    3: _signed,
    4: _double,
    7: _bytes,
}


def _span(data: bytes, resource: dict[str, Any]) -> Incoming:
    fields = list(_fields(data))
    one = dict(fields)  # of a field given twice the last counts
    status = dict(_fields(_bytes(one.get(15, b""))))
    code = _whole(status.get(3, 0))
    span = Span(
        id=_bytes(one.get(2, b"")).hex(),
        name=_string(one.get(5, b"")),
        start_ns=_whole(one.get(7, 0)),
        end_ns=_whole(one.get(8, 0)),
        parent=_bytes(one.get(4, b"")).hex(),
        status=STATUSES[code] if code < len(STATUSES) else "UNSET",
        message=_string(status.get(2, b"")),
        kind=_whole(one.get(6, 0)) & 0xFF,
        flags=_whole(one.get(16, 0)) & 0xFFFFFFFF,
        state=_string(one.get(3, b"")),
        attributes=_attributes(fields, 9),
        events=tuple(_event(_bytes(value)) for number, value in fields if number == 11),  # noqa: PLR2004
        links=tuple(_link(_bytes(value)) for number, value in fields if number == 13),  # noqa: PLR2004
    )
    return Incoming(f"{PREFIX}{_bytes(one.get(1, b'')).hex()}", span, resource)


def _event(data: bytes) -> Event:
    fields = list(_fields(data))
    one = dict(fields)
    return Event(
        name=_string(one.get(2, b"")),
        time_ns=_whole(one.get(1, 0)),
        attributes=_attributes(fields, 3),
    )


def _link(data: bytes) -> Link:
    fields = list(_fields(data))
    one = dict(fields)
    return Link(
        trace=_bytes(one.get(1, b"")).hex(),
        span=_bytes(one.get(2, b"")).hex(),
        state=_string(one.get(3, b"")),
        attributes=_attributes(fields, 4),
    )
