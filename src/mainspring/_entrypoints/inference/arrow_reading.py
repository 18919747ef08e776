"""Columns out of an Arrow IPC stream, without an Arrow library.

Read are numbers (integers, floating point, booleans), texts in their three layouts, texts behind a
dictionary (which may grow or change between batches), columns that hold nothing, and the moments
of ``event_time`` as timestamps. Everything is checked against the bytes that are there: what does
not fit is refused, and nothing of a claimed size is made before. Refused as well are nested types,
other dates, decimals, and compressed buffers (compress the body instead: gzip).

Source: Apache Arrow columnar format 1.5, "Serialization and Interprocess Communication", and
``Message.fbs``, ``Schema.fbs``, whose slots and numbers are used below.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._entrypoints.inference.flatbuffers import Table
from mainspring._entrypoints.inference.tensor_values import MAX_CELLS
from mainspring.core.errors import Invalid

ARROW: Final = "application/vnd.apache.arrow.stream"
_CONTINUED: Final = b"\xff\xff\xff\xff"
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_NULL, _INT, _FLOAT, _UTF8, _BOOL, _TIMESTAMP, _LARGE_UTF8, _UTF8_VIEW = 1, 2, 3, 5, 6, 10, 20, 24
_TEXTS: Final = frozenset({_UTF8, _LARGE_UTF8, _UTF8_VIEW})
_FLOATS: Final = ("<f2", "<f4", "<f8")
_MOST_MESSAGES: Final = 2000
_MOST_FIELDS: Final = 10_000
_VIEW: Final = struct.Struct("<iii")
_VIEW_BYTES: Final = 16
_MOST_VIEWED_BYTES: Final = 64 << 20  # many views may show the same bytes
_INLINE_BYTES: Final = 12
MOST_CONTINUED: Final = MAX_CELLS
MOMENTS: Final = "event_time"
# Microseconds of a second, millisecond and microsecond; and of how many nanoseconds one is.
_MICROS_OF_UNIT: Final = ((1_000_000, 1), (1000, 1), (1, 1), (1, 1000))
Column = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    kind: int
    item: str = ""  # numpy's name for a number, or for the indices into a dictionary
    dictionary: int | None = None
    micros: tuple[int, int] = (1, 1)  # of a timestamp's step: so many, divided by so many

    @property
    def is_text(self) -> bool:
        return self.kind in _TEXTS


@dataclass(slots=True)
class _Body:
    """The buffers and nodes of one batch, taken in their order."""

    data: memoryview
    nodes: list[tuple[int, int]]
    buffers: list[tuple[int, int]]
    variadic: list[int] = field(default_factory=list)

    def node(self, rows: int) -> int:
        """How many values of the next column are null."""
        length, nulls = self.nodes.pop(0)
        if length != rows or not 0 <= nulls <= rows:
            raise _bad("a column is not as long as its batch")
        return nulls

    def buffer(self) -> memoryview:
        offset, length = self.buffers.pop(0)
        if offset < 0 or length < 0 or offset + length > len(self.data):
            raise _bad("a buffer lies outside of its message")
        return self.data[offset : offset + length]

    def numbers(self, kind: str, count: int) -> NDArray[Any]:
        buffer = self.buffer()
        size = np.dtype(kind).itemsize * count
        if len(buffer) < size:
            raise _bad("a buffer is shorter than its column")
        return np.frombuffer(buffer[:size], dtype=kind)


class _Dictionaries:
    """The texts behind the columns' indices, as the batches before them told.

    A dictionary batch replaces what there was, or continues it (``isDelta``).
    """

    def __init__(self) -> None:
        self._known: dict[int, Column] = {}
        self._copied = 0

    def of(self, number: int) -> Column:
        """The texts of a dictionary."""
        found = self._known.get(number)
        if found is None:
            raise _bad("a column's dictionary is missing")
        return found

    def take(self, header: Table, data: memoryview, fields: list[_Field]) -> None:
        """Takes what a dictionary batch tells."""
        number, batch = header.scalar(0, "<q"), header.table(1)
        of = next((one for one in fields if one.dictionary == number), None)
        if of is None or batch is None:
            raise _bad("it has a dictionary that no column uses")
        _length(batch, 1, 0)
        (texts,) = _columns(batch, data, [_Field(of.name, of.kind)], self)
        if header.scalar(2, "<B") and number in self._known:
            texts = np.concatenate([self._known[number], texts])
            # Many small continuations of a long dictionary copy it as often.
            self._copied += len(texts)
            if self._copied > MOST_CONTINUED:
                raise _bad("its dictionaries are continued too often")
        self._known[number] = texts


def read_arrow(body: bytes, most_columns: int) -> tuple[dict[str, Column], int]:
    """The columns by name, and the number of rows: numbers as float64, texts as objects.

    Errors: ``serving.bad_arrow``.
    """
    try:
        return _read(body, most_columns)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise _bad(f"it breaks off, or refers to what is not there ({error})") from error


def _read(body: bytes, most_columns: int) -> tuple[dict[str, Column], int]:
    fields: list[_Field] | None = None
    dictionaries = _Dictionaries()
    parts: list[list[Column]] = []
    rows = 0
    for kind, header, data in _messages(body):
        if kind == _SCHEMA and fields is None:
            fields = _fields(header, most_columns)
        elif fields is None:
            raise _bad("it does not begin with a schema")
        elif kind == _DICTIONARY:
            dictionaries.take(header, data, fields)
        elif kind == _BATCH:
            length = _length(header, len(fields), rows)
            parts.append(_columns(header, data, fields, dictionaries))
            rows += length
        else:
            raise _bad(f"it holds a message of kind {kind}")
    if fields is None:
        raise _bad("it is empty")
    return _joined(fields, parts), rows


def _messages(body: bytes) -> Iterator[tuple[int, Table, memoryview]]:
    """Each message: its kind, its header, and the bytes behind it."""
    at, view, count = 0, memoryview(body), 0
    while at < len(body):
        (size,) = struct.unpack_from("<i", body, at + 4)
        if body[at : at + 4] != _CONTINUED or size < 0:
            raise _bad("it is no Arrow IPC stream")
        if size == 0:
            return
        start = at + 8
        if start + size > len(body):
            raise _bad("it breaks off within a message")
        message = Table.root(body[start : start + size])
        length, header = message.scalar(3, "<q"), message.table(2)
        end = start + size + length
        count += 1
        if header is None or length < 0 or end > len(body) or count > _MOST_MESSAGES:
            raise _bad("it breaks off within a message, or has too many")
        yield message.scalar(1, "<B"), header, view[start + size : end]
        at = end


def _fields(schema: Table, most_columns: int) -> list[_Field]:
    if schema.scalar(0, "<h") != 0:
        raise _bad("its numbers are big-endian")
    _, count = schema.vector(1, 4)
    if count > min(most_columns, _MOST_FIELDS):
        raise _bad(f"it has {count} columns, the model takes {most_columns} at most")
    fields = [_field(one) for one in schema.tables(1)]
    if len({one.name for one in fields}) != len(fields):
        raise _bad("a column is named twice")
    return fields


def _field(one: Table) -> _Field:
    name, kind, encoding = one.text(0), one.scalar(2, "<B"), one.table(4)
    described = one.table(3)
    if encoding is not None:
        if kind not in _TEXTS:
            raise _bad(f"the dictionary of the column {name[:80]!r} holds no texts")
        return _Field(name, kind, _integers(encoding.table(1), name), encoding.scalar(0, "<q"))
    if kind == _INT:
        return _Field(name, kind, _integers(described, name))
    if kind == _FLOAT and described is not None:
        return _Field(name, kind, _FLOATS[abs(described.scalar(0, "<h"))])
    if kind == _TIMESTAMP and name == MOMENTS and described is not None:
        unit = _MICROS_OF_UNIT[abs(described.scalar(0, "<h"))]
        return _Field(name, kind, "<i8", micros=unit)
    if kind not in {_NULL, _BOOL, *_TEXTS}:
        raise _bad(f"the column {name[:80]!r} is neither numbers nor texts")
    return _Field(name, kind)


def _integers(described: Table | None, name: str) -> str:
    # The dictionary's indices are signed 32-bit integers unless it says otherwise (Schema.fbs).
    bits = 32 if described is None else described.scalar(0, "<i")
    signed = described is None or described.scalar(1, "<B")
    if bits not in {8, 16, 32, 64}:
        raise _bad(f"the column {name[:80]!r} has integers of {bits} bits")
    return f"<{'i' if signed else 'u'}{bits // 8}"


def _length(batch: Table, columns: int, before: int) -> int:
    length = batch.scalar(0, "<q")
    if length < 0 or (before + length) * max(1, columns) > MAX_CELLS:
        raise _bad(f"it has more than {MAX_CELLS} values, or fewer than none")
    return length


def _body(batch: Table, data: memoryview) -> _Body:
    if batch.table(3) is not None:
        raise _bad("its buffers are compressed; send them plain, with gzip around the whole body")
    buffers = batch.pairs(2)
    # Buffers that overlap would let few bytes stand for many.
    if sum(length for _, length in buffers) > len(data):
        raise _bad("its buffers are longer than its messages")
    return _Body(data, batch.pairs(1), buffers, batch.longs(4))


def _columns(
    batch: Table, data: memoryview, fields: list[_Field], dictionaries: _Dictionaries
) -> list[Column]:
    body, rows = _body(batch, data), batch.scalar(0, "<q")
    if rows > 8 * len(data) and any(one.kind == _NULL for one in fields):
        raise _bad("it has more empty rows than bytes")
    columns = [_column(body, one, rows, dictionaries) for one in fields]
    if body.nodes or body.buffers:
        raise _bad("it has more buffers than its schema says")
    return columns


def _column(body: _Body, one: _Field, rows: int, dictionaries: _Dictionaries) -> Column:
    nulls = body.node(rows)
    if one.kind == _NULL:
        return np.full(rows, np.nan)
    bits = body.buffer()
    valid = _bits(bits, rows) if len(bits) or nulls else None
    if one.dictionary is not None:
        return _chosen(body.numbers(one.item, rows), valid, dictionaries.of(one.dictionary))
    if one.is_text:
        return _texts(body, one.kind, rows, valid)
    if one.kind == _BOOL:
        values = _bits(body.buffer(), rows).astype(np.float64)
    else:
        values = body.numbers(one.item, rows)
        if one.kind == _TIMESTAMP:
            times, parts = one.micros
            values = values // parts * float(times)
        values = values.astype(np.float64)
    if valid is not None:
        values[~valid] = np.nan
    return values


def _bits(buffer: memoryview, rows: int) -> NDArray[np.bool_]:
    if len(buffer) * 8 < rows:
        raise _bad("a bitmap is shorter than its column")
    packed = np.frombuffer(buffer, dtype=np.uint8)
    return np.unpackbits(packed, count=rows, bitorder="little").astype(bool)


def _texts(body: _Body, kind: int, rows: int, valid: NDArray[np.bool_] | None) -> Column:
    column = np.empty(rows, dtype=object)
    there = range(rows) if valid is None else np.flatnonzero(valid).tolist()
    if kind == _UTF8_VIEW:
        _view_texts(body, column, there)
        return column
    # A column without rows may have no offsets at all.
    form, (_, size) = "<i4" if kind == _UTF8 else "<i8", body.buffers[0]
    offsets = body.numbers(form, rows + 1 if rows or size else 0)
    data = bytes(body.buffer())
    if rows and (
        offsets[0] < 0 or offsets[-1] > len(data) or bool(np.any(offsets[1:] < offsets[:-1]))
    ):
        raise _bad("a text lies outside of its buffer")
    places = offsets.tolist()
    for row in there:
        column[row] = data[places[row] : places[row + 1]].decode()
    return column


def _view_texts(body: _Body, column: Column, there: Any) -> None:
    views = bytes(body.buffer())
    if len(views) < _VIEW_BYTES * len(column):
        raise _bad("a buffer is shorter than its column")
    count = body.variadic.pop(0)
    if not 0 <= count <= len(body.buffers):
        raise _bad("a column has more buffers than there are")
    buffers = [bytes(body.buffer()) for _ in range(count)]
    left = _MOST_VIEWED_BYTES
    for row in there:
        at = _VIEW_BYTES * row
        (length,) = struct.unpack_from("<i", views, at)
        left -= length
        if 0 <= length <= _INLINE_BYTES:
            data = views[at + 4 : at + 4 + length]
        else:
            _, which, start = _VIEW.unpack_from(views, at + 4)
            if length < 0 or not 0 <= which < count or start < 0 or left < 0:
                raise _bad("a text lies outside of its buffer")
            data = buffers[which][start : start + length]
            if len(data) != length:
                raise _bad("a text lies outside of its buffer")
        column[row] = data.decode()


def _chosen(indices: NDArray[Any], valid: NDArray[np.bool_] | None, dictionary: Column) -> Column:
    column = np.empty(len(indices), dtype=object)
    there = slice(None) if valid is None else valid
    wanted = indices[there]
    if len(wanted) and not (int(wanted.min()) >= 0 and int(wanted.max()) < len(dictionary)):
        raise _bad("a value lies outside of its dictionary")
    column[there] = dictionary[wanted.astype(np.intp)]
    return column


def _joined(fields: list[_Field], parts: list[list[Column]]) -> dict[str, Column]:
    if len(parts) == 1:
        return {one.name: column for one, column in zip(fields, parts[0], strict=True)}
    return {
        one.name: np.concatenate([part[place] for part in parts])
        if parts
        else np.empty(0, dtype=object if one.is_text else np.float64)
        for place, one in enumerate(fields)
    }


def _bad(what: str) -> Invalid:
    return Invalid(
        "serving.bad_arrow",
        f"The body is not an Arrow stream that is read here: {what}.",
        hint="Send one IPC stream of numbers and texts, for example with pyarrow.ipc.new_stream.",
    )
