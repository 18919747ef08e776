"""The short way against the ordinary one: a gateway process, asked the same twice."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainspring._entrypoints.inference.rows import RowReader
from mainspring.core.schema import InputColumn, Signature
from mainspring.serving import Variant
from mainspring.serving.model import Order
from mainspring.serving.segments import read_segment, sealed_segments

URL = "/v2/models/late/infer"
# A body that says it is packed as "identity" is not taken by the short way, and means the same.
ORDINARY = {"content-encoding": "identity"}

numbers = st.one_of(
    st.none(), st.integers(-(2**70), 2**70), st.floats(-1e9, 1e9), st.sampled_from(["2", True])
)
texts = st.one_of(st.none(), st.sampled_from(["AA", "UA", "ZZ", ""]), st.integers(0, 2))


@st.composite
def tensors(draw, name, cells, usual):
    data = draw(st.lists(cells, min_size=0, max_size=2)) if draw(st.booleans()) else [draw(cells)]
    rows = draw(st.sampled_from([len(data), len(data), len(data), 3]))
    shape = draw(st.sampled_from([[rows], [rows, 1], [rows, 1], [1, rows, 1], [-1]]))
    datatype = draw(st.sampled_from([usual, usual, usual, "FP32", "INT64", "BOOL", "FP128"]))
    tensor = {"name": name, "shape": shape, "datatype": datatype, "data": data}
    if draw(st.integers(0, 9)) == 0:
        tensor["parameters"] = draw(st.sampled_from([{"nulls": [0]}, {"binary_data_size": 8}]))
    return tensor


@st.composite
def requests(draw):
    if draw(st.integers(0, 3)) == 0:
        width, rows = draw(st.sampled_from([3, 3, 3, 2])), draw(st.integers(0, 3))
        data = draw(st.lists(numbers, min_size=width * rows, max_size=width * rows))
        name = draw(st.sampled_from(["rows", "rows", "miles"]))
        inputs = [{"name": name, "shape": [rows, width], "datatype": "FP64", "data": data}]
    else:
        inputs = [
            draw(tensors("miles", numbers, "FP64")),
            draw(tensors("wind", numbers, "FP64")),
            draw(tensors("carrier", texts, "BYTES")),
        ]
        inputs = draw(st.permutations(inputs))
        odd = draw(st.integers(0, 9))
        inputs = inputs[:-1] if odd == 0 else [*inputs, inputs[0]] if odd == 1 else inputs
    request = {"inputs": inputs, "id": draw(st.sampled_from(["", 'q\u00e9"1']))}
    more = draw(st.integers(0, 9))
    if more == 0:
        request["parameters"] = {"binary_data_output": True}
    elif more == 1:
        request["outputs"] = [{"name": draw(st.sampled_from(["score", "classes"]))}]
    elif more == 2:
        request["parameters"] = {"prediction_ids": ["a"], "event_time": [1], "entity": ["e"]}
    return request


def told(response):
    """Status, and the body without what differs for every request."""
    if response.headers["content-type"] != "application/json":
        return response.status_code, response.content[-16:]
    body = response.json()
    if "parameters" in body:
        body["parameters"].pop("prediction_id", None)
    return response.status_code, body


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests())
def test_both_ways_say_the_same(gateway, request):
    """Whatever is asked, the short way and the ordinary one give the same answer or error."""
    body = json.dumps(request).encode()
    short = gateway.http.post(URL, content=body)
    assert told(short) == told(gateway.http.post(URL, content=body, headers=ORDINARY))


def test_every_request_of_a_crowd_leaves_its_own_record(own_gateway):
    """Requests of many clients share batches and blocks; each id is there once, with its row."""
    own_gateway.deploy("late", Variant(name="champion", model=own_gateway.linear(), version="3"))

    def ask(number):
        miles = {"name": "miles", "shape": [1], "datatype": "FP64", "data": [float(number)]}
        wind = {"name": "wind", "shape": [1], "datatype": "FP64", "data": [None]}
        carrier = {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": [f"C{number}"]}
        request = {
            "inputs": [carrier, miles, wind],
            "parameters": {"prediction_ids": [f"p{number}"], "event_time": [number]},
        }
        answer = own_gateway.http.post(URL, json=request)
        return answer.json()["outputs"][0]["data"][0]

    with ThreadPoolExecutor(16) as pool:
        scores = list(pool.map(ask, range(600)))
    assert own_gateway.stop() == 0
    rows = {}
    for path in sealed_segments(own_gateway.folder / "records"):
        for batch in read_segment(path):
            answers, inputs = batch.answers(), batch.inputs()
            for place, key in enumerate(answers["prediction_id"].tolist()):
                assert key not in rows
                rows[key] = (
                    inputs["miles"][place],
                    inputs["carrier"][place],
                    answers["event_time"][place].astype(int),
                    answers["score"][place],
                )
                assert np.isnan(inputs["wind"][place])
                assert 0 < answers["latency_ms"][place] < 30_000
    assert rows == {f"p{n}": (n, f"C{n}", n, scores[n]) for n in range(600)}
    own_gateway.start()


def test_a_reader_takes_one_row_or_one_matrix_and_nothing_else():
    """What it takes means what the signature says; the rest is left, not guessed."""
    reader = RowReader(
        Order(
            Signature(
                (InputColumn("n", "number"), InputColumn("c", "category", ("x", "y"))),
                "probability",
            )
        )
    )
    n = {"name": "n", "shape": [1], "datatype": "FP64", "data": [2]}
    c = {"name": "c", "shape": [1, 1], "datatype": "BYTES", "data": ["y"]}

    def read(*inputs):
        return reader.read(json.dumps({"inputs": inputs}).encode())

    _, columns, rows = read(c, n)
    assert rows == 1
    assert columns.matrix.tolist() == [[2.0, 1.0]]
    assert (columns["n"].tolist(), columns["c"].tolist()) == ([2.0], ["y"])
    _, columns, rows = read(
        {"name": "m", "shape": [2, 2], "datatype": "FP64", "data": [1, 0, 2, 9]}
    )
    assert rows == 2
    assert columns.matrix.tolist() == [[1.0, 0.0], [2.0, -1.0]]
    assert read(n) is None
    assert read(n, n) is None
    assert (
        read({**n, "data": [1, 2], "shape": [2]}, {**c, "data": ["x", "y"], "shape": [2]}) is None
    )
    assert read({**n, "data": ["2"]}, c) is None
    assert read({**n, "datatype": "INT64"}, c) is None
    assert reader.read(b"{") is None
