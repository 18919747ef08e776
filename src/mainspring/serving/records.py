"""Prediction records on disk: what was asked, who answered what, when; and how long it took.

A segment is a file of blocks behind an eight-byte mark::

    "MSPREC" 0x00 0x01                          format 1
    length u32 | crc32 u32 | MessagePack        little-endian; the checksum covers the payload
    length u32 | crc32 u32 | MessagePack
    ...

An :class:`Outcomes` block holds what became of predictions. A :class:`Layout` block tells, once per
segment, who answers and which inputs follow; a :class:`Rows` block holds rows that one variant
answered, of one request or of several. A file that ends inside a block lost its writer there:
everything before is whole, the rest never happened.

An input is recorded once per prediction, with the row of the variant that answered; copies
(shadow, reference) record only the inputs that the answering variants do not take.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Broken

MARK: Final = b"MSPREC\x00\x01"
_HEAD: Final = struct.Struct("<II")
_UNDECIDED: Final = -1


class Layout(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Who answers, and the names of the inputs that its rows carry."""

    number: int
    endpoint: str
    variant: str
    version: str
    role: str
    numbers: tuple[str, ...]
    texts: tuple[str, ...]


class Rows(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Rows of one layout, by column; fixed-width columns as little-endian bytes."""

    layout: int
    ids: Sequence[str]
    ids_given: bool
    entities: Sequence[str]
    event_times: bytes  # int64 microseconds
    received_micros: int | bytes  # of all rows, or int64 for each
    latency_micros: int | bytes
    score: bytes  # float64
    decision: bytes  # int8: 1, 0, or -1 for a model without a decision policy
    numbers: Sequence[bytes]  # float64
    texts: Sequence[Sequence[str | None]]


class Outcomes(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """What became of predictions, as it was reported: one outcome per id of a prediction.

    With ``by_entity`` the ids are keys of entities.
    """

    endpoint: str
    ids: Sequence[str]
    outcomes: bytes  # float64
    known_times: bytes  # int64 microseconds
    received_micros: int
    by_entity: bool = False


class Answered(msgspec.Struct, frozen=True, gc=False):
    """Rows that one variant answered, as the gateway hands them to the log.

    Shapes: every sequence and column has the length of ``ids``. ``inputs`` holds the columns to
    record. The arrays must not change afterwards.
    """

    layout: Layout  # its number is not used: each writer numbers its own
    ids: Sequence[str]
    ids_given: bool
    entities: Sequence[str]
    event_times: NDArray[np.int64] | None  # None: the moment of receipt
    received_micros: int
    latency_micros: int
    score: NDArray[np.float64]
    decision: NDArray[np.bool_] | None
    inputs: Mapping[str, NDArray[Any]]


class Block(NamedTuple):
    """Bytes to append to a segment; ``layout`` is the one of its rows, if it holds rows."""

    layout: Layout | None
    data: bytes


_block = msgspec.msgpack.Decoder(Layout | Rows | Outcomes)
_encode = msgspec.msgpack.Encoder().encode


class Layouts:
    """The layouts of one writer, numbered for all its segments."""

    def __init__(self) -> None:
        self._known: dict[Layout, Layout] = {}

    def numbered(self, layout: Layout) -> Layout:
        """The layout with its number."""
        known = self._known.get(layout)
        if known is None:
            known = msgspec.structs.replace(layout, number=len(self._known))
            self._known[layout] = known
        return known


def rows_block(layout: Layout, some: Sequence[Answered]) -> Block:
    """Answers of one layout, which has its number, with ids that were all given or all made."""
    return Block(layout, _framed(_rows(some, layout.number)))


def outcomes_block(outcomes: Outcomes) -> Block:
    """What became of predictions."""
    return Block(None, _framed(outcomes))


class SegmentEncoder:
    """The bytes of one segment, block by block: each layout is told before its first rows."""

    def __init__(self) -> None:
        self._told: set[int] = set()

    def encode(self, block: Block) -> bytes:
        """The bytes to append for a block."""
        layout = block.layout
        if layout is None or layout.number in self._told:
            return block.data
        self._told.add(layout.number)
        return _framed(layout) + block.data


def read_blocks(data: bytes) -> Iterator[tuple[int, Layout, Rows]]:
    """The rows of a segment with the offset behind each; stops where the file is torn.

    Errors: ``serving.segment_corrupt`` when the bytes are no segment at all.
    """
    layouts: dict[int, Layout] = {}
    for end, block in _blocks(data):
        if isinstance(block, Layout):
            layouts[block.number] = block
        elif isinstance(block, Rows):
            yield end, layouts[block.layout], block


def read_outcomes(data: bytes) -> Iterator[Outcomes]:
    """The outcomes of a segment, in the order they were reported."""
    for _, block in _blocks(data):
        if isinstance(block, Outcomes):
            yield block


def _blocks(data: bytes) -> Iterator[tuple[int, Layout | Rows | Outcomes]]:
    if not data.startswith(MARK):
        if MARK.startswith(data):  # its writer died before the mark was whole
            return
        raise Broken(
            "serving.segment_corrupt",
            "The file is not a segment of prediction records.",
            hint="Move it out of the records folder and look at it.",
        )
    for end, payload in _payloads(data):
        yield end, _block.decode(payload)


def whole_bytes(data: bytes) -> int:
    """How many bytes from the start are whole blocks: where a torn file is to be cut."""
    if not data.startswith(MARK):
        return 0
    end = len(MARK)
    for at, _ in _payloads(data):
        end = at
    return end


def outcomes_frame(reported: Outcomes) -> dict[str, NDArray[Any]]:
    """The columns of reported outcomes."""
    return {
        "prediction_id": _texts(reported.ids),
        "outcome": np.frombuffer(reported.outcomes, dtype="<f8").astype(np.float64),
        "known_at": np.frombuffer(reported.known_times, dtype="<i8").astype("datetime64[us]"),
        "received_at": np.full(len(reported.ids), reported.received_micros, dtype="datetime64[us]"),
    }


def answers_frame(layout: Layout, rows: Rows) -> dict[str, NDArray[Any]]:
    """What was answered: the same columns for every record."""
    count = len(rows.ids)
    decision = np.frombuffer(rows.decision, dtype=np.int8).astype(np.float64)
    decision[decision == _UNDECIDED] = np.nan
    return {
        "prediction_id": _texts(rows.ids),
        "entity": _texts(rows.entities),
        "event_time": _moments(rows),
        "received_at": _each(rows.received_micros, count).view("datetime64[us]"),
        "version": _texts([layout.version] * count),
        "variant": _texts([layout.variant] * count),
        "role": _texts([layout.role] * count),
        "score": np.frombuffer(rows.score, dtype="<f8").astype(np.float64),
        "decision": decision,
        "latency_ms": _each(rows.latency_micros, count) / 1000.0,
    }


def inputs_frame(layout: Layout, rows: Rows) -> dict[str, NDArray[Any]]:
    """What was asked: the id and event time, then the recorded inputs."""
    columns: dict[str, NDArray[Any]] = {
        "prediction_id": _texts(rows.ids),
        "event_time": _moments(rows),
    }
    for name, column in zip(layout.numbers, rows.numbers, strict=True):
        columns[input_column(name)] = np.frombuffer(column, dtype="<f8").astype(np.float64)
    for name, texts in zip(layout.texts, rows.texts, strict=True):
        columns[input_column(name)] = _texts(texts)
    return columns


def input_column(name: str) -> str:
    """What an input is called in an inputs table: its own name, unless a record's column has it."""
    return f"input_{name}" if name in {"prediction_id", "event_time"} else name


def _rows(some: Sequence[Answered], number: int) -> Rows:
    first, lengths = some[0], [len(one.ids) for one in some]
    inputs = _inputs([one.inputs for one in some], (*first.layout.numbers, *first.layout.texts))
    received = _repeated([one.received_micros for one in some], lengths)
    undecided = all(one.decision is None for one in some)
    return Rows(
        layout=number,
        ids=list(chain.from_iterable([one.ids for one in some])),
        ids_given=first.ids_given,
        entities=list(chain.from_iterable([one.entities for one in some])),
        event_times=_times(some, received),
        received_micros=received,
        latency_micros=_repeated([one.latency_micros for one in some], lengths),
        score=np.concatenate([one.score for one in some], dtype="<f8").tobytes(),
        decision=b"\xff" * sum(lengths) if undecided else b"".join(map(_verdict, some)),
        numbers=_numbers([inputs[name] for name in first.layout.numbers], sum(lengths)),
        texts=[inputs[name].tolist() for name in first.layout.texts],
    )


def _inputs(
    some: Sequence[Mapping[str, NDArray[Any]]], names: Sequence[str]
) -> Mapping[str, NDArray[Any]]:
    if len(some) == 1:
        return some[0]
    stack = getattr(some[0], "stack", None)
    stacked: Mapping[str, NDArray[Any]] | None = stack(some) if stack is not None else None
    if stacked is not None:
        return stacked
    return {name: np.concatenate([one[name] for one in some]) for name in names}


def _times(some: Sequence[Answered], received: int | bytes) -> bytes:
    if isinstance(received, bytes) and all(one.event_times is None for one in some):
        return received
    return b"".join(
        one.received_micros.to_bytes(8, "little", signed=True) * len(one.ids)
        if one.event_times is None
        else one.event_times.astype("<i8", copy=False).tobytes()
        for one in some
    )


def _repeated(values: Sequence[int], lengths: Sequence[int]) -> int | bytes:
    if len(values) == 1:
        return values[0]
    return np.repeat(np.array(values, dtype="<i8"), lengths).tobytes()


def _each(values: int | bytes, count: int) -> NDArray[np.int64]:
    if isinstance(values, bytes):
        return np.frombuffer(values, dtype="<i8").astype(np.int64)
    return np.full(count, values, dtype=np.int64)


def _verdict(one: Answered) -> bytes:
    if one.decision is None:
        return b"\xff" * len(one.ids)
    return one.decision.astype(np.int8).tobytes()


def _numbers(columns: Sequence[NDArray[Any]], count: int) -> list[bytes]:
    """Each numeric column's bytes. One copy for all: per column it costs ten times a cut."""
    if not columns:
        return []
    data = np.concatenate(columns, dtype="<f8", casting="unsafe").tobytes()
    return [data[at : at + 8 * count] for at in range(0, len(data), 8 * count)]


def _framed(value: Layout | Rows | Outcomes) -> bytes:
    payload = _encode(value)
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def _payloads(data: bytes) -> Iterator[tuple[int, memoryview]]:
    view, at = memoryview(data), len(MARK)
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        payload = view[at + _HEAD.size : end]
        if end > len(data) or zlib.crc32(payload) != checksum:
            return
        yield end, payload
        at = end


def _moments(rows: Rows) -> NDArray[np.datetime64]:
    return np.frombuffer(rows.event_times, dtype="<i8").astype("datetime64[us]")


def _texts(values: Sequence[str | None]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
