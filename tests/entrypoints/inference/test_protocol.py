"""Open Inference Protocol v2 over REST, against a running gateway."""

from __future__ import annotations

import gzip
import json
import struct

import numpy as np
import pytest

from mainspring.serving import Variant

URL = "/v2/models/late/infer"
# 0.25 + 0.125 * 2 = 0.5; a missing number adds 0.5; an unknown category 0.03125
EXPECTED = [0.5, 0.25 + 0.5 + 0.0625, 0.25 + 0.125 + 0.03125]


def tensor(name, datatype, data, shape=None, **parameters):
    return {
        "name": name,
        "datatype": datatype,
        "shape": shape or [len(data)],
        "data": data,
        **({"parameters": parameters} if parameters else {}),
    }


def inputs(miles=(2.0, None, 1.0), wind=(0.0, 0.0, 0.0), carrier=("AA", "UA", None)):
    return [
        tensor("miles", "FP64", list(miles)),
        tensor("wind", "FP32", list(wind)),
        tensor("carrier", "BYTES", list(carrier)),
    ]


def outputs(response):
    assert response.status_code == 200, response.text
    return {output["name"]: output["data"] for output in response.json()["outputs"]}


def test_json_in_json_out(gateway):
    """Nulls and unknown categories are answered; decisions follow the policy; the id comes back."""
    response = gateway.http.post(URL, json={"id": "q1", "inputs": inputs()})
    said = outputs(response)
    assert said["score"] == EXPECTED
    assert said["decision"] == [True, True, False]
    body = response.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("late", "3", "q1")
    assert body["parameters"]["variant"] == "champion"
    assert len(body["parameters"]["prediction_id"]) == 32


def test_column_vectors_and_nested_data(gateway):
    """Shapes [n, 1], flat or nested, mean the same rows."""
    nested = [
        tensor("miles", "INT32", [[2], [1]], [2, 1]),
        tensor("wind", "BOOL", [True, False], [2, 1]),
        tensor("carrier", "BYTES", [["AA"], ["ZZ"]], [2, 1]),
    ]
    assert outputs(gateway.http.post(URL, json={"inputs": nested}))["score"] == [0.5, 0.40625]


def test_one_matrix_for_all_inputs(gateway):
    """A client that knows the order may send one matrix, with categories as codes."""
    matrix = [tensor("input-0", "FP64", [[2.0, 0.0, 0], [None, 0.0, 1], [1.0, 0.0, -1]], [3, 3])]
    assert outputs(gateway.http.post(URL, json={"inputs": matrix}))["score"] == EXPECTED


def binary(parts, **request):
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": n,
                    "shape": [s],
                    "datatype": d,
                    "parameters": {"binary_data_size": len(b), **p},
                }
                for n, d, s, b, p in parts
            ],
            **request,
        }
    ).encode()
    return head + b"".join(part[3] for part in parts), {
        "Inference-Header-Content-Length": str(len(head)),
        "Content-Type": "application/octet-stream",
    }


def texts(*values):
    return b"".join(struct.pack("<I", len(v.encode())) + v.encode() for v in values)


def three_rows(**request):
    miles, wind = np.array([2.0, np.nan, 1.0]).tobytes(), np.zeros(3, "<f4").tobytes()
    carrier = texts("AA", "UA", "")
    return binary(
        [
            ("miles", "FP64", 3, miles, {}),
            ("wind", "FP32", 3, wind, {}),
            ("carrier", "BYTES", 3, carrier, {"nulls": [2]}),
        ],
        **request,
    )


def test_binary_in_binary_out(gateway):
    """Raw tensors behind a JSON head, as Triton's clients send by default; raw answers on wish."""
    body, headers = three_rows(
        outputs=[{"name": "score", "parameters": {"binary_data": True}}, {"name": "decision"}]
    )
    response = gateway.http.post(URL, content=body, headers=headers)
    assert response.status_code == 200, response.text
    length = int(response.headers["inference-header-content-length"])
    head = json.loads(response.content[:length])
    score, decision = head["outputs"]
    assert np.frombuffer(response.content[length:], "<f8").tolist() == EXPECTED
    assert score["parameters"] == {"binary_data_size": 24}
    assert decision["data"] == [True, True, False]


def test_binary_in_json_out(gateway):
    """The answer is JSON unless raw outputs are asked for."""
    body, headers = three_rows()
    assert outputs(gateway.http.post(URL, content=body, headers=headers))["score"] == EXPECTED


def test_gzip_both_ways(gateway):
    """Packed bodies are read, and long answers packed for who takes them."""
    many = inputs([2.0] * 500, [0.0] * 500, ["AA"] * 500)
    body = gzip.compress(json.dumps({"inputs": many}).encode())
    response = gateway.http.post(URL, content=body, headers={"Content-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert outputs(response)["score"] == [0.5] * 500


def test_no_rows_is_an_answer_too(gateway):
    """Zero rows in, zero rows out."""
    response = gateway.http.post(URL, json={"inputs": inputs([], [], [])})
    assert outputs(response)["score"] == []


def changed(**parts):
    return {"inputs": [parts.get(t["name"], t) for t in inputs()]}


BAD = {
    "no json": b"{",
    "not an object": b"[]",
    "no inputs": {"id": "x"},
    "empty inputs": {"inputs": []},
    "missing input": {"inputs": inputs()[:2]},
    "unknown input": {"inputs": [*inputs(), tensor("speed", "FP64", [1, 2, 3])]},
    "twice": {"inputs": [*inputs(), inputs()[0]]},
    "ragged": changed(miles=tensor("miles", "FP64", [[1], [2, 3]], [3, 1])),
    "too few": changed(miles=tensor("miles", "FP64", [1.0, 2.0], [3])),
    "too many": changed(miles=tensor("miles", "FP64", [1.0] * 4, [3])),
    "other length": changed(wind=tensor("wind", "FP64", [1.0, 2.0])),
    "negative": changed(miles=tensor("miles", "FP64", [1.0], [-1])),
    "negative pair": changed(miles=tensor("miles", "FP64", [1.0], [-1, -3])),
    "overflow": changed(miles=tensor("miles", "FP64", [1.0], [2**62, 2**62, 4])),
    "huge": changed(miles=tensor("miles", "FP64", [1.0], [10**10])),
    "float shape": changed(miles=tensor("miles", "FP64", [1.0], [1.5])),
    "no shape": changed(miles={"name": "miles", "datatype": "FP64", "shape": [], "data": [1]}),
    "wide": changed(miles=tensor("miles", "FP64", [1.0] * 6, [3, 2])),
    "text as number": changed(miles=tensor("miles", "FP64", ["1", "2", "3"])),
    "number as text": changed(carrier=tensor("carrier", "FP64", [1.0, 2.0, 3.0])),
    "bytes as number": changed(miles=tensor("miles", "BYTES", ["1", "2", "3"])),
    "fraction as integer": changed(miles=tensor("miles", "INT64", [1.5, 2, 3])),
    "unknown datatype": changed(miles=tensor("miles", "FP128", [1, 2, 3])),
    "no data": changed(miles={"name": "miles", "datatype": "FP64", "shape": [3]}),
    "object as data": changed(
        miles={"name": "miles", "datatype": "FP64", "shape": [3], "data": {}}
    ),
    "infinite integer": changed(miles=tensor("miles", "INT64", [10**400, 1, 1])),
    "binary size beyond": changed(miles=tensor("miles", "FP64", [], [3], binary_data_size=24)),
    "binary size negative": changed(miles=tensor("miles", "FP64", [], [3], binary_data_size=-1)),
    "binary size odd": changed(miles=tensor("miles", "FP64", [], [3], binary_data_size="24")),
    "matrix of other width": {"inputs": [tensor("x", "FP64", [[1.0, 2.0]], [1, 2])]},
    "matrix of texts": {"inputs": [tensor("x", "BYTES", [["1", "2", "3"]], [1, 3])]},
    "ids too few": {"inputs": inputs(), "parameters": {"prediction_ids": ["a"]}},
    "ids twice": {"inputs": inputs(), "parameters": {"prediction_ids": ["a", "a", "b"]}},
    "ids no texts": {"inputs": inputs(), "parameters": {"prediction_ids": [1, 2, 3]}},
    "ids too long": {"inputs": inputs(), "parameters": {"prediction_ids": ["a" * 300, "b", "c"]}},
    "no moments": {"inputs": inputs(), "parameters": {"event_time": ["soon", "now", "later"]}},
    "unknown output": {"inputs": inputs(), "outputs": [{"name": "classes"}]},
    "deep": b'{"inputs":' + b"[" * 100_000,
    "not utf-8": b'{"inputs":[{"name":"\xff","shape":[1],"datatype":"FP64","data":[1]}]}',
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_requests_get_a_proper_4xx(gateway, name):
    """Whatever is sent, the answer is a 400 with an error text, and the next request is served."""
    body = BAD[name] if isinstance(BAD[name], bytes) else json.dumps(BAD[name]).encode()
    response = gateway.http.post(URL, content=body)
    assert response.status_code == 400, response.text
    assert set(response.json()) == {"error"}
    assert response.json()["error"].startswith("serving.")


@pytest.mark.parametrize(
    ("length", "extra"),
    [("999999", b""), ("-5", b""), ("nine", b""), ("9" * 30, b""), (None, b"!")],
)
def test_a_head_length_that_lies_is_refused(gateway, length, extra):
    """The head's length must fit the body, and no byte may be left over."""
    body, headers = three_rows()
    if length is not None:
        headers["Inference-Header-Content-Length"] = length
    response = gateway.http.post(URL, content=body + extra, headers=headers)
    assert response.status_code == 400, response.text


def test_a_compressed_bomb_is_refused(gateway):
    """A small body that unpacks beyond the limit costs a 413, not the memory."""
    bomb = gzip.compress(b" " * (80 << 20))
    response = gateway.http.post(URL, content=bomb, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 413
    torn = gateway.http.post(URL, content=bomb[:-9], headers={"Content-Encoding": "gzip"})
    assert torn.status_code in {400, 413}
    odd = gateway.http.post(URL, content=b"x", headers={"Content-Encoding": "br"})
    assert odd.status_code == 415


def test_errors_name_the_nearest_word(gateway):
    """A misspelt endpoint or input is answered with the likely one."""
    response = gateway.http.post("/v2/models/lat/infer", json={"inputs": inputs()})
    assert response.status_code == 404
    assert "'late'" in response.json()["error"]
    odd = {"inputs": [*inputs(), tensor("mile", "FP64", [1, 2, 3])]}
    assert "'miles'" in gateway.http.post(URL, json=odd).json()["error"]


def test_the_server_describes_itself(gateway):
    """Health, metadata, index, configuration and statistics, as clients read them."""
    get = gateway.http.get
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"ready": True}
    assert get("/v2").json()["extensions"][0] == "binary_tensor_data"
    metadata = get("/v2/models/late").json()
    assert metadata["versions"] == ["3"]
    assert metadata["inputs"][2] == {"name": "carrier", "datatype": "BYTES", "shape": [-1]}
    assert [output["name"] for output in metadata["outputs"]] == ["score", "decision"]
    assert get("/v2/models/late/ready").status_code == 200
    assert get("/v2/models/late/versions/3/ready").status_code == 200
    assert get("/v2/models/late/versions/4/ready").status_code == 404
    assert get("/v2/models/late/versions/4").status_code == 404
    assert get("/v2/models/other/ready").status_code == 404
    index = gateway.http.post("/v2/repository/index").json()
    assert index == [{"name": "late", "version": "3", "state": "READY", "reason": ""}]
    assert get("/v2/models/late/config").json()["input"][0]["data_type"] == "TYPE_FP64"
    outputs(gateway.http.post(URL, json={"inputs": inputs()}))
    (stats,) = get("/v2/models/late/stats").json()["model_stats"]
    assert stats["inference_count"] >= 3
    assert get("/v2/nothing").status_code == 404
    assert get("/v2/nothing").json()["error"]


def test_numbers_of_any_type_may_be_missing(gateway):
    """A null is a missing number in a tensor of integers or truths as among floats."""
    for datatype in ("FP16", "INT64", "UINT8", "BOOL"):
        asked = [
            tensor("miles", datatype, [None, 1]) if datatype != "BOOL" else None,
            tensor("wind", "BOOL", [None, True]),
            tensor("carrier", "BYTES", ["UA", "UA"]),
        ]
        asked[0] = asked[0] or tensor("miles", "BOOL", [None, True])
        said = outputs(gateway.http.post(URL, json={"inputs": asked}))
        assert said["score"] == [0.8125, 0.4375]


def test_head_is_get_without_a_body(gateway):
    """Whatever answers GET answers HEAD with the same status."""
    for path in (
        "/health", "/ready", "/ping", "/version", "/metrics", "/v2", "/v2/health/ready",
        "/v2/models/late", "/v2/models/late/ready", "/v2/repository/index",
    ):  # fmt: skip
        response = gateway.http.head(path)
        assert (response.status_code, response.content) == (200, b""), path
    assert gateway.http.head("/v2/models/nobody").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/invocations", "POST"),
        ("PUT", "/endpoints/late/decisions", "POST"),
        ("GET", URL, "POST"),
        ("POST", "/v2/models/late", "GET, HEAD"),
        ("DELETE", "/metrics", "GET, HEAD"),
        ("DELETE", "/v2/repository/index", "GET, HEAD, POST"),
    ],
)
def test_another_method_is_told_which(gateway, method, path, allowed):
    """405 with the methods that there are (RFC 9110, section 15.5.6); 404 is for no address."""
    response = gateway.http.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert gateway.http.request(method, path + "s/x").status_code == 404


def test_the_index_may_be_of_what_is_ready(gateway):
    """Clients send no body, or ask for the ready ones; another body is refused."""
    everything = gateway.http.post("/v2/repository/index").json()
    assert [one["name"] for one in everything] == ["late"]
    ready = gateway.http.post("/v2/repository/index", json={"ready": True})
    assert ready.json() == everything
    assert gateway.http.post("/v2/repository/index", json={"ready": "x"}).status_code == 400


def test_long_answers_are_packed_for_who_takes_that(gateway):
    """The scrape of a monitoring server as well."""
    response = gateway.http.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert "mainspring_gateway_responses_total" in response.text


def test_a_version_can_be_asked_for(gateway):
    """The version in the address must be one that is served."""
    good = gateway.http.post("/v2/models/late/versions/3/infer", json={"inputs": inputs()})
    assert outputs(good)["score"] == EXPECTED
    bad = gateway.http.post("/v2/models/late/versions/9/infer", json={"inputs": inputs()})
    assert bad.status_code == 404


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.nip.io", "localhost.evil.org"])
def test_foreign_hosts_and_origins_are_refused(gateway, host):
    """A page of another site cannot ask a loopback gateway, whatever its name resolves to."""
    assert gateway.http.get("/v2", headers={"Host": host}).status_code == 400
    origin = {"Origin": f"http://{host}"}
    assert gateway.http.post(URL, json={"inputs": inputs()}, headers=origin).status_code == 403


def test_control_needs_the_token(gateway):
    """Neither control nor the repository's load and unload work without the control token."""
    for method, path in (
        ("GET", "/control/routes"),
        ("DELETE", "/control/routes/late"),
        ("POST", "/control/records/seal"),
        ("POST", "/v2/repository/models/late/unload"),
        ("POST", "/v2/repository/models/late/load"),
    ):
        assert gateway.http.request(method, path).status_code == 401, path
        bad = {"Authorization": "Bearer wrong"}
        assert gateway.http.request(method, path, headers=bad).status_code == 401
    assert (gateway.folder / "control.token").stat().st_mode & 0o777 == 0o600


def test_requests_of_many_rows_do_not_shut_the_endpoint(own_gateway):
    """However many rows were usual of late: where nothing waits, the next request is let in."""
    own_gateway.deploy("late", Variant(name="champion", model=own_gateway.linear(), version="3"))
    rows = 200_000
    matrix = struct.pack("<ddd", 2.0, 0.0, 0.0) * rows
    part = {"name": "all", "datatype": "FP64", "shape": [rows, 3]}
    many = json.dumps({"inputs": [{**part, "parameters": {"binary_data_size": len(matrix)}}]})
    headers = {"Inference-Header-Content-Length": str(len(many))}
    for _ in range(4):
        body = many.encode() + matrix
        assert own_gateway.http.post(URL, content=body, headers=headers).status_code == 200
    said = own_gateway.http.post(URL, json={"inputs": inputs()})
    assert outputs(said)["score"] == EXPECTED
