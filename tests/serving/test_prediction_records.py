"""Prediction records: stored, torn, sealed, shipped."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_text import SegmentText

from mainspring.core.errors import Broken, Unavailable
from mainspring.serving.recorder import Recorder, RecorderLimits
from mainspring.serving.records import (
    MARK,
    Answered,
    Layout,
    answers_frame,
    inputs_frame,
    read_blocks,
    whole_bytes,
)
from mainspring.serving.segments import read_segment, seal_abandoned, sealed_segments

LAYOUT = Layout(0, "late", "champion", "3", "champion", ("miles",), ("carrier",))
WATCHER = Layout(0, "late", "frozen", "1", "reference", (), ())


def answered(ids, layout=LAYOUT, *, ids_given=True) -> Answered:
    rows = len(ids)
    carrier = np.array([None if n % 3 == 0 else f"C{n}" for n in range(rows)], object)
    return Answered(
        layout=layout,
        ids=ids,
        ids_given=ids_given,
        entities=[f"plane-{n}" for n in ids],
        event_times=np.arange(rows, dtype=np.int64) * 1_000_000,
        received_micros=1_700_000_000_000_000,
        latency_micros=1500,
        score=np.linspace(0.0, 1.0, rows),
        decision=None if layout is WATCHER else np.arange(rows) % 2 == 0,
        inputs={"miles": np.arange(rows, dtype=np.float64), "carrier": carrier},
    )


def ids_of(folder) -> list[str]:
    return [
        name
        for path in sealed_segments(folder)
        for batch in read_segment(path)
        for name in batch.rows.ids
    ]


def test_what_was_answered_comes_back():
    """Every column of a record survives the file: nulls, decisions and the lack of them too."""
    encoder = SegmentText()
    data = MARK + encoder.encode(answered(["a", "b", "c"]))
    data += encoder.encode(answered(["a", "b", "c"], WATCHER))
    (_, layout, rows), (end, watcher, copies) = read_blocks(data)
    frame = answers_frame(layout, rows)
    assert frame["prediction_id"].tolist() == ["a", "b", "c"]
    assert frame["entity"].tolist() == ["plane-a", "plane-b", "plane-c"]
    assert frame["event_time"].dtype == "datetime64[us]"
    assert frame["event_time"].tolist()[1].isoformat() == "1970-01-01T00:00:01"
    assert frame["score"].tolist() == [0.0, 0.5, 1.0]
    assert frame["decision"].tolist() == [1.0, 0.0, 1.0]
    assert frame["latency_ms"].tolist() == [1.5] * 3
    assert {*zip(frame["version"], frame["variant"], frame["role"], strict=True)} == {
        ("3", "champion", "champion")
    }
    inputs = inputs_frame(layout, rows)
    assert inputs["miles"].tolist() == [0.0, 1.0, 2.0]
    assert inputs["carrier"].tolist() == [None, "C1", "C2"]
    assert np.isnan(answers_frame(watcher, copies)["decision"]).all()
    assert end == len(data)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
@settings(max_examples=60)
def test_a_torn_file_loses_its_tail_only(sizes, data):
    """Cut anywhere, a segment gives exactly the blocks that are whole, and knows where they end."""
    encoder = SegmentText()
    text, ends = MARK, []
    for number, size in enumerate(sizes):
        text += encoder.encode(answered([f"{number}-{n}" for n in range(size)]))
        ends.append(len(text))
    cut = data.draw(st.integers(0, len(text)))
    kept = [end for end in ends if end <= cut]
    assert [end for end, _, _ in read_blocks(text[:cut])] == kept
    whole = whole_bytes(text[:cut])
    assert whole <= cut
    assert [end for end, _, _ in read_blocks(text[:whole])] == kept


def test_a_flipped_bit_ends_the_reading():
    """Damaged rows are never handed on as if they were whole."""
    encoder = SegmentText()
    first = MARK + encoder.encode(answered(["a"]))
    data = bytearray(first + encoder.encode(answered(["b"])))
    data[len(first) + 20] ^= 1
    assert [rows.ids for _, _, rows in read_blocks(bytes(data))] == [["a"]]


def test_a_file_of_something_else_is_an_error():
    """A stray file in the folder is not taken for an empty segment."""
    with pytest.raises(Broken):
        list(read_blocks(b"PK\x03\x04 something else"))


def test_sealed_segments_hold_everything_taken(tmp_path):
    """What was taken before a seal is in sealed segments after it, in order."""
    recorder = Recorder(tmp_path)
    for number in range(50):
        assert recorder.append(answered([f"p{number}"]))
    recorder.seal()
    assert ids_of(tmp_path) == [f"p{number}" for number in range(50)]
    assert recorder.append(answered(["later"]))
    recorder.close()
    assert ids_of(tmp_path)[-1] == "later"
    assert recorder.stored_rows == 51


def test_a_full_buffer_refuses_and_counts(tmp_path):
    """Memory is bounded: what does not fit is refused at once and counted as lost."""
    limits = RecorderLimits(flush_seconds=60, buffer_rows=10)
    recorder = Recorder(tmp_path, limits)
    assert recorder.append(answered([str(n) for n in range(10)]))
    assert not recorder.append(answered(["eleven"]))
    assert recorder.lost_rows == 1
    recorder.close()
    assert len(ids_of(tmp_path)) == 10


def test_when_stored_means_stored(tmp_path):
    """The rows can be read from the file at the moment the writer says they are stored."""
    recorder = Recorder(tmp_path, RecorderLimits(flush_seconds=60))
    seen, done = [], threading.Event()

    def when_stored(error):
        seen.append(error)
        (path,) = tmp_path.glob("*.open")
        seen.extend(rows.ids for _, _, rows in read_blocks(path.read_bytes()))
        done.set()

    assert recorder.append(answered(["now"]), when_stored)
    assert done.wait(10)
    assert seen == [None, ["now"]]
    recorder.close()


def test_a_disk_that_fails_is_told_to_who_waits(tmp_path, monkeypatch):
    """No success after a failed write; the rows before it stay; the next ones are stored again."""
    recorder = Recorder(tmp_path, RecorderLimits(flush_seconds=60))
    told = []

    def store(name):
        done = threading.Event()
        recorder.append(answered([name]), lambda error: (told.append(error), done.set()))
        assert done.wait(10)

    store("before")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        store("lost")
    store("after")
    recorder.close()
    assert [type(error) for error in told] == [type(None), Unavailable, type(None)]
    assert ids_of(tmp_path) == ["before", "after"]
    assert recorder.lost_rows == 1


def test_segments_end_by_size(tmp_path):
    """A segment that has grown enough is sealed without anybody asking."""
    recorder = Recorder(tmp_path, RecorderLimits(segment_bytes=100))
    for number in range(5):
        done = threading.Event()
        recorder.append(answered([f"p{number}" * 10]), lambda _error, done=done: done.set())
        assert done.wait(10)
    recorder.close()
    assert len(sealed_segments(tmp_path)) == 5


def test_the_segment_of_a_dead_writer_is_sealed_without_its_tail(tmp_path):
    """After a kill the whole blocks are kept, and a half one never happened."""
    whole = MARK + SegmentText().encode(answered(["kept"]))
    (tmp_path / "0001.open").write_bytes(whole + b"\x99\x00\x00\x00 half a block")
    (tmp_path / "0002.open").write_bytes(MARK[:3])
    assert [path.name for path in seal_abandoned(tmp_path)] == ["0001.segment"]
    assert ids_of(tmp_path) == ["kept"]
    assert (tmp_path / "0001.segment").stat().st_size == len(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["0001.segment"]


def test_the_segment_of_a_living_writer_is_left_alone(tmp_path):
    """Whoever ships never takes the file from under a gateway."""
    recorder = Recorder(tmp_path)
    done = threading.Event()
    recorder.append(answered(["mine"]), lambda _error: done.set())
    assert done.wait(10)
    assert seal_abandoned(tmp_path) == []
    recorder.close()
    assert ids_of(tmp_path) == ["mine"]


def test_reading_goes_on_from_an_offset(tmp_path):
    """A reader that remembers its place sees each row once."""
    encoder = SegmentText()
    blocks = [encoder.encode(answered([name])) for name in "abc"]
    path = tmp_path / "0001.segment"
    path.write_bytes(MARK + b"".join(blocks))
    first = next(read_segment(path))
    rest = list(read_segment(path, after=first.offset))
    assert [batch.rows.ids for batch in rest] == [["b"], ["c"]]


def test_answers_of_several_variants_come_back_whatever_their_order(tmp_path):
    """Rows are gathered by who answered: few or many, alone or in a matrix, none is lost."""
    recorder = Recorder(tmp_path, RecorderLimits(flush_seconds=60))
    layouts = [LAYOUT, WATCHER, Layout(7, "late", "canary", "4", "canary", ("miles",), ())]
    expected = set()
    for number in range(200):
        layout = layouts[number % 3]
        rows = 100 if number == 50 else 1 + number % 2
        ids = [f"{number}-{row}" for row in range(rows)]
        assert recorder.append(answered(ids, layout, ids_given=number % 5 == 0))
        expected |= {(layout.variant, number % 5 == 0, id_) for id_ in ids}
        if number == 120:
            recorder.seal()
    recorder.close()
    found = [
        (batch.layout.variant, batch.rows.ids_given, id_)
        for path in sealed_segments(tmp_path)
        for batch in read_segment(path)
        for id_ in batch.rows.ids
    ]
    assert len(found) == len(expected)
    assert set(found) == expected
    assert recorder.stored_rows == len(expected)
