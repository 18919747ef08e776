"""Arrow IPC bodies: streams that pyarrow wrote, and streams that somebody damaged."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring._entrypoints.inference import arrow_reading
from mainspring._entrypoints.inference.arrow_reading import ARROW, read_arrow
from mainspring._entrypoints.inference.arrow_writing import write_arrow
from mainspring._entrypoints.inference.flatbuffers import Number, Pairs, write
from mainspring.core.errors import Invalid

ROOT = Path(__file__).parents[3]
STREAMS = Path(__file__).with_name("arrow")
EXPECTED = [0.5, 0.8125, 0.40625]
GOOD = ("plain", "pieces", "dictionary", "large_text", "views")
CHANGING = ("dictionary_replaced", "dictionary_delta")
BAD = sorted(path.stem for path in STREAMS.glob("bad_*.arrows"))
ADDRESSES = ("/v2/models/late/infer", "/invocations")


def stream(name: str) -> bytes:
    return (STREAMS / f"{name}.arrows").read_bytes()


def ask(gateway, body, path="/invocations", **headers):
    return gateway.http.post(path, content=body, headers={"content-type": ARROW, **headers})


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("name", GOOD)
def test_every_layout_is_read_and_answered_in_arrow(gateway, name, path):
    """Nulls, small and large texts, views, dictionaries, several batches: the rows of JSON."""
    response = ask(gateway, stream(name), path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == ARROW
    columns, rows = read_arrow(response.content, 10)
    assert rows == 3
    assert columns["score"].tolist() == EXPECTED
    assert columns["decision"].tolist() == [1.0, 1.0, 0.0]


def test_arrow_in_json_out_and_json_in_arrow_out(gateway):
    """The Accept header decides; without one the answer is of the question's kind."""
    said = ask(gateway, stream("plain"), accept="application/json").json()
    assert said["predictions"] == EXPECTED
    said = ask(gateway, stream("plain"), ADDRESSES[0], accept="application/json").json()
    assert said["outputs"][0]["data"] == EXPECTED
    response = gateway.http.post(
        "/invocations", json={"instances": [[2.0, 0.0, "AA"]]}, headers={"accept": ARROW}
    )
    assert read_arrow(response.content, 10)[0]["score"].tolist() == [0.5]


def test_no_rows_and_nothing_but_missing(gateway):
    """A stream without batches has an answer without rows; a column without a type is missing."""
    assert read_arrow(ask(gateway, stream("no_rows")).content, 10)[1] == 0
    columns, _ = read_arrow(ask(gateway, stream("all_missing")).content, 10)
    assert columns["score"].tolist() == [0.75, 0.8125, 0.78125]


@pytest.mark.parametrize("name", CHANGING)
def test_dictionaries_may_change_and_grow_between_batches(gateway, name):
    """A writer of several tables replaces the texts behind the indices, or adds to them."""
    columns, rows = read_arrow(ask(gateway, stream(name)).content, 10)
    assert rows == 3
    assert columns["score"].tolist() == EXPECTED


def test_a_dictionary_continued_without_end_is_refused(monkeypatch):
    """Each continuation copies what was there: together they may copy no more than a body holds."""
    monkeypatch.setattr(arrow_reading, "MOST_CONTINUED", 1)
    with pytest.raises(Invalid, match="continued too often"):
        read_arrow(stream("dictionary_delta"), 10)


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_moments_travel_as_timestamps(unit):
    """Whatever its unit, a timestamp is the microseconds that it means."""
    columns, _ = read_arrow(stream(f"moments_{unit}"), 10)
    assert columns["event_time"].tolist() == [(1_700_000_000 + n) * 1e6 for n in range(3)]


def test_ids_travel_as_columns(gateway):
    """Own ids in the column prediction_ids are kept: a second row of the same id is refused."""
    assert ask(gateway, stream("ids")).status_code == 200
    assert ask(gateway, stream("ids").replace(b"r1r2r3", b"r1r1r3")).status_code == 400


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_read_is_said(gateway, name):
    """Compressed, nested, dated, decimal, unknown, missing, doubled: each a 400 with its reason."""
    for path in ADDRESSES:
        response = ask(gateway, stream(name), path)
        assert response.status_code == 400, response.text
        assert "serving." in response.text or "error_code" in response.text


def test_each_wire_says_it_in_its_own_form(gateway):
    """An error is JSON, also to an Arrow body."""
    assert "bad_arrow" in ask(gateway, b"no arrow", ADDRESSES[0]).json()["error"]
    assert ask(gateway, b"no arrow").json()["error_code"] == "BAD_REQUEST"


def message(kind, header, body=b"", claimed=None):
    size = len(body) if claimed is None else claimed
    data = write({0: Number("<h", 4), 1: Number("<B", kind), 2: header, 3: Number("<q", size)})
    return b"\xff\xff\xff\xff" + struct.pack("<i", len(data)) + data + body


def numbers(name="miles"):
    return {0: name, 2: Number("<B", 3), 3: {0: Number("<h", 2)}}


def one_column(column, batch, body=b"", claimed=None):
    return message(1, {1: [column]}) + message(3, batch, body, claimed)


def batch(rows, nodes, buffers):
    return {0: Number("<q", rows), 1: Pairs(nodes), 2: Pairs(buffers)}


EMPTY, NULL, VIEWS = b"", {0: "miles", 2: Number("<B", 1), 3: {}}, 24
HOSTILE = {
    "nothing": b"",
    "an end without a schema": b"\xff\xff\xff\xff\0\0\0\0",
    "a huge message length": b"\xff\xff\xff\xff" + struct.pack("<i", 2**31 - 1),
    "a negative message length": b"\xff\xff\xff\xff" + struct.pack("<i", -8),
    "a huge body length": one_column(numbers(), batch(1, [(1, 0)], [(0, 0), (0, 8)]), b"", 2**62),
    "a batch before the schema": message(3, batch(0, [], [])),
    "rows beyond the bytes": one_column(
        numbers(), batch(2**40, [(2**40, 0)], [(0, 0), (0, 8)]), bytes(8)
    ),
    "negative rows": one_column(numbers(), batch(-1, [(-1, 0)], [(0, 0), (0, 8)]), bytes(8)),
    "empty rows out of nothing": one_column(NULL, batch(40_000_000, [(40_000_000, 0)], [])),
    "a buffer outside": one_column(numbers(), batch(1, [(1, 0)], [(0, 0), (2**60, 8)]), bytes(8)),
    "a buffer before": one_column(numbers(), batch(1, [(1, 0)], [(0, 0), (-8, 8)]), bytes(8)),
    "buffers that overlap": one_column(numbers(), batch(1, [(1, 0)], [(0, 8), (0, 8)]), bytes(8)),
    "a column longer than its batch": one_column(
        numbers(), batch(1, [(2, 0)], [(0, 0), (0, 16)]), bytes(16)
    ),
    "more nulls than rows": one_column(numbers(), batch(1, [(1, 5)], [(0, 0), (0, 8)]), bytes(8)),
    "nulls without a bitmap": one_column(numbers(), batch(1, [(1, 1)], [(0, 0), (0, 8)]), bytes(8)),
    "more buffers than columns": one_column(
        numbers(), batch(1, [(1, 0)], [(0, 0), (0, 8), (8, 8)]), bytes(16)
    ),
    "fewer buffers than columns": one_column(numbers(), batch(1, [(1, 0)], [(0, 0)]), bytes(8)),
    "offsets that fall": one_column(
        {0: "carrier", 2: Number("<B", 5), 3: {}},
        batch(2, [(2, 0)], [(0, 0), (0, 12), (16, 8)]),
        struct.pack("<iii", 0, 8, 4) + bytes(4) + b"AAAAAAAA",
    ),
    "offsets beyond the texts": one_column(
        {0: "carrier", 2: Number("<B", 5), 3: {}},
        batch(1, [(1, 0)], [(0, 0), (0, 8), (8, 8)]),
        struct.pack("<ii", 0, 2**30) + b"AAAAAAAA",
    ),
    "a text that is no UTF-8": one_column(
        {0: "carrier", 2: Number("<B", 5), 3: {}},
        batch(1, [(1, 0)], [(0, 0), (0, 8), (8, 8)]),
        struct.pack("<ii", 0, 2) + b"\xff\xfe\0\0\0\0\0\0",
    ),
    "an index outside of its dictionary": message(
        1, {1: [{0: "carrier", 2: Number("<B", 5), 3: {}, 4: {0: Number("<q", 7)}}]}
    )
    + message(
        2,
        {0: Number("<q", 7), 1: batch(1, [(1, 0)], [(0, 0), (0, 8), (8, 2)])},
        struct.pack("<ii", 0, 2) + b"AA" + bytes(6),
    )
    + message(3, batch(1, [(1, 0)], [(0, 0), (0, 4)]), struct.pack("<i", 9) + bytes(4)),
    "a dictionary that never came": one_column(
        {0: "carrier", 2: Number("<B", 5), 3: {}, 4: {0: Number("<q", 7)}},
        batch(1, [(1, 0)], [(0, 0), (0, 4)]),
        bytes(8),
    ),
    "ten thousand columns": message(1, {1: [numbers(f"c{i}") for i in range(10_000)]}),
    "two schemas": message(1, {1: [numbers()]}) * 2,
    "a tensor message": message(1, {1: [numbers()]}) + message(4, {}),
    "thousands of empty batches": message(1, {1: [numbers()]})
    + message(3, batch(0, [(0, 0)], [(0, 0), (0, 0)])) * 3000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_streams_are_the_senders_fault(gateway, what):
    """Each is refused as the sender's fault, and the next question is answered."""
    for path in ADDRESSES:
        response = ask(gateway, HOSTILE[what], path)
        assert response.status_code == 400, response.text
    assert ask(gateway, stream("plain")).status_code == 200


@pytest.mark.parametrize("name", [*GOOD, "ids", "no_rows"])
def test_a_stream_cut_anywhere_is_refused_or_whole(name):
    """Cut behind any byte, a stream is refused, unless it ended with a whole message."""
    body, codes = stream(name), set()
    for end in range(len(body)):
        try:
            _, rows = read_arrow(body[:end], 10)
        except Invalid as error:
            codes.add(error.code)
        else:
            assert rows in {0, 2, 3}
    assert codes == {"serving.bad_arrow"}


@settings(max_examples=2000, deadline=None)
@given(
    st.sampled_from([*GOOD, *BAD, "ids"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_changed_bytes_are_refused_or_read_never_worse(name, changes):
    """Whatever bytes are changed, the reader answers or says serving.bad_arrow: nothing else."""
    body = bytearray(stream(name))
    for place, value in changes:
        body[place % len(body)] = value
    try:
        columns, rows = read_arrow(bytes(body), 10)
    except Invalid as error:
        columns, rows = {"code": error.code}, len("serving.bad_arrow")
    assert all(len(column) == rows for column in columns.values())


@given(
    st.integers(0, 40).flatmap(
        lambda n: st.tuples(
            st.lists(st.floats(allow_nan=False), min_size=n, max_size=n),
            st.lists(st.booleans(), min_size=n, max_size=n),
            st.lists(st.text(max_size=20), min_size=n, max_size=n),
        )
    )
)
def test_what_is_written_is_read(columns):
    """Numbers, truths and texts come back as they went, any number of rows."""
    scores, truths, texts = columns
    body = write_arrow(
        {"score": np.array(scores), "truth": np.array(truths, dtype=bool), "text": texts},
        {"model_name": "late"},
    )
    back, rows = read_arrow(body, 3)
    assert rows == len(scores)
    assert back["score"].tolist() == scores
    assert back["truth"].astype(bool).tolist() == truths
    assert back["text"].tolist() == texts


@pytest.mark.services
def test_pyarrow_reads_what_we_write(gateway):
    """The reference library validates our answer fully and finds the same values and names."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from environments import python_of

    answer = ask(gateway, stream("plain")).content
    script = (
        "import json, sys, pyarrow.ipc as ipc\n"
        "table = ipc.open_stream(sys.stdin.buffer.read()).read_all()\n"
        "table.validate(full=True)\n"
        "said = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}\n"
        "print(json.dumps([table.to_pydict(), said]))"
    )
    done = subprocess.run(
        [python_of("mlflow"), "-c", script], input=answer, capture_output=True, check=True
    )
    values, said = json.loads(done.stdout)
    assert values == {"score": EXPECTED, "decision": [True, True, False]}
    assert (said["model_name"], said["variant"]) == ("late", "champion")
