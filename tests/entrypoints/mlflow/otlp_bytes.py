"""Requests in OTLP's binary encoding, written by hand for tests: the reader's counterpart."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from mainspring.tracking.traces_types import Event, Incoming, Link, Span

STATUS = {"UNSET": 0, "OK": 1, "ERROR": 2}


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def bytes_field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def fixed64(number: int, value: int) -> bytes:
    return varint(number << 3 | 1) + value.to_bytes(8, "little")


def fixed32(number: int, value: int) -> bytes:
    return varint(number << 3 | 5) + value.to_bytes(4, "little")


def any_value(value: Any) -> bytes:
    if isinstance(value, Mapping):
        return bytes_field(6, b"".join(pairs(1, value)))
    if isinstance(value, list):
        return bytes_field(5, b"".join(bytes_field(1, any_value(one)) for one in value))
    plain = {
        str: lambda: bytes_field(1, value.encode()),
        bool: lambda: number_field(2, int(value)),
        int: lambda: number_field(3, value),
        float: lambda: varint(4 << 3 | 1) + struct.pack("<d", value),
        bytes: lambda: bytes_field(7, value),
    }
    return plain.get(type(value), bytes)()


def pairs(number: int, attributes: Mapping[str, Any]) -> list[bytes]:
    return [
        bytes_field(number, bytes_field(1, key.encode()) + bytes_field(2, any_value(value)))
        for key, value in attributes.items()
    ]


def event(one: Event) -> bytes:
    head = fixed64(1, one.time_ns) + bytes_field(2, one.name.encode())
    return head + b"".join(pairs(3, one.attributes))


def link(one: Link) -> bytes:
    ids = bytes_field(1, bytes.fromhex(one.trace)) + bytes_field(2, bytes.fromhex(one.span))
    return ids + bytes_field(3, one.state.encode()) + b"".join(pairs(4, one.attributes))


def span(one: Incoming) -> bytes:
    found: Span = one.span
    status = bytes_field(2, found.message.encode()) + number_field(3, STATUS[found.status])
    return b"".join(
        [
            bytes_field(1, bytes.fromhex(one.trace_id.removeprefix("tr-"))),
            bytes_field(2, bytes.fromhex(found.id)),
            bytes_field(3, found.state.encode()),
            bytes_field(4, bytes.fromhex(found.parent)),
            bytes_field(5, found.name.encode()),
            number_field(6, found.kind),
            fixed64(7, found.start_ns),
            fixed64(8, found.end_ns),
            *pairs(9, found.attributes),
            number_field(10, 7),
            *(bytes_field(11, event(each)) for each in found.events),
            *(bytes_field(13, link(each)) for each in found.links),
            bytes_field(15, status),
            fixed32(16, found.flags),
        ]
    )


def request(*some: Incoming) -> bytes:
    """Each span in resource spans of its own."""
    return b"".join(
        bytes_field(
            1,
            bytes_field(1, b"".join(pairs(1, one.resource)))
            + bytes_field(2, bytes_field(1, b"\x0a\x01x") + bytes_field(2, span(one)))
            + bytes_field(3, b"schema"),
        )
        for one in some
    )
