"""Flatbuffers as Arrow's messages need them: tables read with every bound checked, and written.

A reference that leads outside the buffer raises ``struct.error``; nothing is followed twice on its
own, so a buffer that points at itself costs no more than another.

Source: "FlatBuffers Internals" (flatbuffers.dev): offsets, tables and their vtables, vectors.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_ALIGNMENT: Final = 8


class Table:
    """A table of a buffer that a stranger may have made; slots are its fields' numbers."""

    def __init__(self, buffer: bytes, at: int) -> None:
        self._buffer = buffer
        self._at = at
        self._slots = at - self._get("<i", at)
        self._slots_bytes = self._get("<H", self._slots)

    @classmethod
    def root(cls, buffer: bytes) -> Table:
        """The table a buffer is about."""
        return cls(buffer, _get(buffer, "<I", 0))

    def scalar(self, slot: int, form: str, default: int = 0) -> int:
        """A number, in the form of the module :mod:`struct`."""
        at = self._field(slot)
        return default if at is None else self._get(form, at)

    def table(self, slot: int) -> Table | None:
        """A table that the field refers to."""
        at = self._reference(slot)
        return None if at is None else Table(self._buffer, at)

    def text(self, slot: int) -> str:
        """A text; empty when it is left out. Errors: ``UnicodeDecodeError``."""
        start, length = self.vector(slot, 1)
        return self._buffer[start : start + length].decode()

    def tables(self, slot: int) -> list[Table]:
        """The tables of a vector."""
        start, length = self.vector(slot, 4)
        places = range(start, start + 4 * length, 4)
        return [Table(self._buffer, at + self._get("<I", at)) for at in places]

    def pairs(self, slot: int) -> list[tuple[int, int]]:
        """A vector of structures, each of two 64-bit integers."""
        start, length = self.vector(slot, 16)
        return list(struct.iter_unpack("<qq", self._buffer[start : start + 16 * length]))

    def longs(self, slot: int) -> list[int]:
        """A vector of 64-bit integers."""
        start, length = self.vector(slot, 8)
        return [n for (n,) in struct.iter_unpack("<q", self._buffer[start : start + 8 * length])]

    def vector(self, slot: int, item_bytes: int) -> tuple[int, int]:
        """Where a vector's items begin, and how many there are; all lie within the buffer."""
        at = self._reference(slot)
        if at is None:
            return 0, 0
        length = self._get("<I", at)
        if at + 4 + length * item_bytes > len(self._buffer):
            raise struct.error("a vector is longer than its buffer")
        return at + 4, length

    def _field(self, slot: int) -> int | None:
        place = 4 + 2 * slot
        if place + 2 > self._slots_bytes:
            return None
        offset = self._get("<H", self._slots + place)
        return self._at + offset if offset else None

    def _reference(self, slot: int) -> int | None:
        at = self._field(slot)
        return None if at is None else at + self._get("<I", at)

    def _get(self, form: str, at: int) -> int:
        return _get(self._buffer, form, at)


def _get(buffer: bytes, form: str, at: int) -> int:
    if at < 0:  # which Python would count from the end
        raise struct.error("a reference leads before the buffer")
    value: int = struct.unpack_from(form, buffer, at)[0]
    return value


@dataclass(frozen=True, slots=True)
class Number:
    """A scalar to write."""

    form: str
    value: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """A vector of structures of two 64-bit integers to write."""

    values: Sequence[tuple[int, int]]


Node = Mapping[int, Any]  # slot -> Number, text, Pairs, Node, or a list of Nodes


def write(root: Node) -> bytes:
    """A buffer about a table, padded to eight bytes."""
    buffer = bytearray(8)
    struct.pack_into("<I", buffer, 0, _table(buffer, root))
    _pad(buffer)
    return bytes(buffer)


def _table(buffer: bytearray, node: Node) -> int:
    """Appends a table, and what it refers to behind it, for references lead forward only."""
    _pad(buffer)
    slots = max(node, default=-1) + 1
    vtable = len(buffer)
    buffer += struct.pack("<HH", 4 + 2 * slots, 4 + 8 * (len(node) + 1)) + bytes(2 * slots)
    _pad(buffer)
    at = len(buffer)
    buffer += struct.pack("<i", at - vtable) + bytes(4 + 8 * len(node))
    places = {slot: at + 8 * (place + 1) for place, slot in enumerate(node)}
    for slot, place in places.items():
        struct.pack_into("<H", buffer, vtable + 4 + 2 * slot, place - at)
        value = node[slot]
        if isinstance(value, Number):
            struct.pack_into(value.form, buffer, place, value.value)
        else:
            target = _target(buffer, value)
            struct.pack_into("<I", buffer, place, target - place)
    return at


def _target(buffer: bytearray, value: Any) -> int:
    if isinstance(value, Mapping):
        return _table(buffer, value)
    _pad(buffer)
    at = len(buffer)
    if isinstance(value, str):
        data = value.encode()
        buffer += struct.pack("<I", len(data)) + data + b"\0"
    elif isinstance(value, Pairs):
        buffer += bytes(4)  # so that the items behind the length are aligned
        at = len(buffer)
        buffer += struct.pack("<I", len(value.values))
        buffer += b"".join(struct.pack("<qq", *pair) for pair in value.values)
    else:
        buffer += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for place in range(len(value)):
            here = at + 4 * (place + 1)
            struct.pack_into("<I", buffer, here, _table(buffer, value[place]) - here)
    return at


def _pad(buffer: bytearray) -> None:
    buffer += bytes(-len(buffer) % _ALIGNMENT)
