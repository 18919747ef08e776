"""MLflow's scoring wire, against a running gateway."""

from __future__ import annotations

import gzip
import json

import pytest

ROWS = [[2.0, 0.0, "AA"], [None, 0.0, "UA"], [1.0, 0.0, None]]
NAMES = ["miles", "wind", "carrier"]
EXPECTED = [0.5, 0.8125, 0.40625]
SHAPES = {
    "split": {"dataframe_split": {"columns": NAMES, "data": ROWS}},
    "split with index": {"dataframe_split": {"columns": NAMES, "data": ROWS, "index": [0, 1, 2]}},
    "records": {"dataframe_records": [dict(zip(NAMES, row, strict=True)) for row in ROWS]},
    "instances of objects": {"instances": [dict(zip(NAMES, row, strict=True)) for row in ROWS]},
    "instances of lists": {"instances": ROWS},
    "inputs by column": {
        "inputs": {name: [row[n] for row in ROWS] for n, name in enumerate(NAMES)}
    },
    "inputs of lists": {"inputs": ROWS},
    "instances of columns of one": {
        "instances": [
            {name: [value] for name, value in zip(NAMES, row, strict=True)} for row in ROWS
        ]
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_json_shape_gives_the_same_predictions(gateway, shape):
    """The four documents that MLflow's clients send are one question."""
    response = gateway.http.post("/invocations", json=SHAPES[shape])
    assert response.status_code == 200, response.text
    assert response.json()["predictions"] == EXPECTED
    assert response.json()["decisions"] == [True, True, False]
    assert response.json()["model_version"] == "3"


def test_csv(gateway):
    """CSV with a header line; an empty cell is a missing value."""
    text = "wind,miles,carrier\n0,2,AA\n0,,UA\n0,1,\n"
    headers = {"Content-Type": "text/csv; charset=utf-8"}
    response = gateway.http.post("/invocations", content=text, headers=headers)
    assert response.json()["predictions"] == EXPECTED


@pytest.mark.parametrize("missing", ["NA", "NaN", "nan", "null", "None", "N/A", "<NA>", " "])
def test_csv_says_missing_as_pandas_does(gateway, missing):
    """What pandas writes or reads as missing is missing; lines without a cell are none."""
    text = f"\nwind,miles,carrier\n0,2,AA\n\n0,{missing},UA\nFalse,1.0,\n\n"
    response = gateway.http.post("/invocations", content=text, headers={"Content-Type": "text/csv"})
    assert response.json()["predictions"] == EXPECTED


@pytest.mark.parametrize("wrong", ["1_000", "two", "0x10", "1,5"])
def test_csv_takes_no_word_for_a_number(gateway, wrong):
    """Python reads 1_000 as a thousand; here it is refused like every other word."""
    text = f"wind,miles,carrier\n0,{wrong},AA\n"
    response = gateway.http.post("/invocations", content=text, headers={"Content-Type": "text/csv"})
    assert response.status_code == 400


def test_an_infinite_number_is_a_number(gateway):
    """MLflow's client writes it bare; it reaches the model as the same row in CSV does."""
    row = b'{"instances": [[2.0, 0.0, "AA"], [-Infinity, 0.0, "AA"]]}'
    headers = {"Content-Type": "application/json"}
    by_json = gateway.http.post("/invocations", content=row, headers=headers)
    text = "miles,wind,carrier\n2,0,AA\n-inf,0,AA\n"
    by_csv = gateway.http.post("/invocations", content=text, headers={"Content-Type": "text/csv"})
    assert by_json.status_code == by_csv.status_code
    assert "not a JSON object" not in by_json.text


def test_no_rows_have_no_decisions_but_a_list_of_them(gateway):
    """An empty table is answered in the form of every other."""
    said = gateway.http.post("/invocations", json={"dataframe_records": []}).json()
    assert said["predictions"] == said["decisions"] == []


def test_bodies_are_packed_both_ways(gateway):
    """Packed as gzip under each of its names and in any case; long answers come packed to who takes that."""
    body = gzip.compress(json.dumps({"instances": ROWS * 100}).encode())
    for name in ("gzip", "GZIP", "x-gzip"):
        headers = {"Content-Type": "application/json", "Content-Encoding": name}
        response = gateway.http.post(
            "/invocations", content=body, headers={**headers, "Accept-Encoding": "gzip"}
        )
        assert response.headers["content-encoding"] == "gzip"
        assert response.json()["predictions"] == EXPECTED * 100
        plain = gateway.http.post(
            "/invocations", content=body, headers={**headers, "Accept-Encoding": "gzip;q=0"}
        )
        assert "content-encoding" not in plain.headers
        assert plain.json()["predictions"] == EXPECTED * 100


def test_other_types_are_unsupported(gateway):
    """415, in MLflow's form."""
    response = gateway.http.post(
        "/invocations", content=b"<x/>", headers={"Content-Type": "application/xml"}
    )
    assert response.status_code == 415
    assert response.json()["error_code"] == "BAD_REQUEST"


def test_an_endpoint_can_be_named(gateway):
    """One gateway serves many models: by path or by query."""
    by_path = gateway.http.post("/endpoints/late/invocations", json=SHAPES["split"])
    by_query = gateway.http.post("/invocations?endpoint=late", json=SHAPES["split"])
    assert by_path.json()["predictions"] == by_query.json()["predictions"] == EXPECTED
    assert gateway.http.post("/endpoints/no/invocations", json={}).status_code == 404


BAD = {
    "nothing": {},
    "two shapes": {**SHAPES["split"], **SHAPES["records"]},
    "no columns": {"dataframe_split": {"data": ROWS}},
    "ragged split": {"dataframe_split": {"columns": NAMES, "data": [[1.0]]}},
    "column twice": {"dataframe_split": {"columns": ["miles"] * 3, "data": ROWS}},
    "rows differ": {"dataframe_records": [{"miles": 1}, {"wind": 2}]},
    "missing column": {"dataframe_records": [{"miles": 1, "wind": 2}]},
    "unknown column": {"inputs": {"miles": [1], "wind": [1], "carrier": ["AA"], "x": [1]}},
    "columns differ": {"inputs": {"miles": [1, 2], "wind": [1], "carrier": ["AA"]}},
    "text as number": {"instances": [["far", 0.0, "AA"]]},
    "number as category": {"instances": [[1.0, 0.0, 7]]},
    "scalar": {"instances": 3},
    "mixed rows": {"instances": [[1.0, 0.0, "AA"], {"miles": 1}]},
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_documents_get_mlflows_error(gateway, name):
    """A 400 with error_code and message, as MLflow's clients read it."""
    response = gateway.http.post("/invocations", content=json.dumps(BAD[name]))
    assert response.status_code == 400, response.text
    assert response.json()["error_code"] == "BAD_REQUEST"
    assert response.json()["message"]


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"miles\n1,2\n", b"miles,wind,carrier\nx,1,AA\n"]
)
def test_malformed_csv_is_refused(gateway, text):
    """CSV that does not fit is a 400 as well."""
    headers = {"Content-Type": "text/csv"}
    response = gateway.http.post("/invocations", content=text, headers=headers)
    assert response.status_code == 400


def test_ping_version_health_metrics(gateway):
    """What load balancers, MLflow's clients and Prometheus ask."""
    gateway.http.post("/invocations", json=SHAPES["split"])
    assert gateway.http.get("/ping").status_code == 200
    assert gateway.http.get("/health").text == "OK"
    assert gateway.http.get("/version").text.startswith("2.")
    text = gateway.http.get("/metrics").text
    assert 'mainspring_predicted_rows_total{endpoint="late",variant="champion",version="3"}' in text
    assert 'le="+Inf"' in text


def test_a_bare_nan_is_a_missing_number(gateway):
    """MLflow's own client writes NaN, which is no JSON; it means null. Nonsense stays nonsense."""
    body = b'{"dataframe_records": [{"miles": NaN, "wind": 0.0, "carrier": "AA"}]}'
    headers = {"content-type": "application/json"}
    response = gateway.http.post("/invocations", content=body, headers=headers)
    assert response.json()["predictions"] == [0.75]
    broken = body.replace(b"0.0,", b"0.0")
    assert gateway.http.post("/invocations", content=broken, headers=headers).status_code == 400
