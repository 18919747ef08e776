from __future__ import annotations

import base64
import gzip
import json
import math
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import otlp_bytes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import needs
from tests.timing import shortest
from wire import Wire

from mainspring._entrypoints.mlflow import otlp_json, otlp_protobuf
from mainspring._entrypoints.mlflow.traces_writing import any_value
from mainspring.core.errors import Invalid
from mainspring.core.ids import new_id
from mainspring.tracking.traces_types import Event, Incoming, Link, Span

CLIENT = Path(__file__).with_name("client")
BINARY = "application/x-protobuf"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(TEXT, VALUE, max_size=3)
TIME = st.integers(0, 2**63 - 1)


def digits(count: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=count // 2, max_size=count // 2).map(bytes.hex)


SPAN = st.builds(
    Span,
    id=digits(16),
    name=TEXT,
    start_ns=TIME,
    end_ns=TIME,
    parent=st.just("") | digits(16),
    status=st.sampled_from(["UNSET", "OK", "ERROR"]),
    message=TEXT,
    kind=st.integers(0, 5),
    flags=st.integers(0, 2**32 - 1),
    state=TEXT,
    attributes=ATTRIBUTES,
    events=st.lists(
        st.builds(Event, name=TEXT, time_ns=TIME, attributes=ATTRIBUTES), max_size=2
    ).map(tuple),
    links=st.lists(
        st.builds(Link, trace=digits(32), span=digits(16), state=TEXT, attributes=ATTRIBUTES),
        max_size=2,
    ).map(tuple),
)
INCOMING = st.builds(Incoming, digits(32).map("tr-{}".format), SPAN, ATTRIBUTES)


def camel(value: Any) -> Any:
    """Our snake-case JSON in OTLP's camel case; 64-bit numbers as text."""
    if isinstance(value, dict):
        names = {key: key.split("_") for key in value}
        return {
            parts[0] + "".join(part.title() for part in parts[1:]): camel(value[key])
            for key, parts in names.items()
        }
    if isinstance(value, list):
        return [camel(one) for one in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": camel(any_value(value))} for key, value in attributes.items()]


def as_json(one: Incoming) -> bytes:
    span = one.span
    document = {
        "traceId": one.trace_id[3:],
        "spanId": span.id,
        "parentSpanId": span.parent,
        "traceState": span.state,
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": span.end_ns,
        "attributes": pairs(span.attributes),
        "droppedAttributesCount": 7,
        "events": [
            {"timeUnixNano": str(e.time_ns), "name": e.name, "attributes": pairs(e.attributes)}
            for e in span.events
        ],
        "links": [
            {
                "traceId": each.trace,
                "spanId": each.span,
                "traceState": each.state,
                "attributes": pairs(each.attributes),
            }
            for each in span.links
        ],
        "status": {"message": span.message, "code": otlp_bytes.STATUS[span.status]},
    }
    scope = {"scope": {"name": "x"}, "spans": [document]}
    group = {"resource": {"attributes": pairs(one.resource)}, "scopeSpans": [scope]}
    return msgspec.json.encode({"resourceSpans": [group], "unknown": [1]})


@settings(deadline=None)
@given(st.lists(INCOMING, max_size=3))
def test_the_binary_encoding_is_read(some: list[Incoming]) -> None:
    """Every field that is kept comes out of the bytes as it went in; others are passed over."""
    assert list(otlp_protobuf.read_request(otlp_bytes.request(*some))) == some


@settings(deadline=None)
@given(INCOMING)
def test_the_json_encoding_is_read(one: Incoming) -> None:
    """JSON with 64-bit numbers as text or as numbers says the same as the bytes."""
    assert list(otlp_json.read_request(as_json(one))) == [one]


def fault(body: bytes) -> str:
    """What reading the bytes complains of; anything but a refusal goes through."""
    try:
        list(otlp_protobuf.read_request(body))
    except Invalid as error:
        return error.code
    return ""


@settings(deadline=None)
@given(st.lists(INCOMING, min_size=1, max_size=2), st.data())
def test_damaged_bytes_are_an_error_or_something_else(some: list[Incoming], data: Any) -> None:
    """Cut, changed and random bytes never do anything but fail as the sender's mistake, or read."""
    body = bytearray(otlp_bytes.request(*some))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for damaged in (bytes(body), bytes(body[: data.draw(st.integers(0, len(body)))])):
        assert fault(damaged) in {"", "otlp.malformed"}


@given(st.binary(max_size=60))
def test_random_bytes_are_an_error_or_something_else(body: bytes) -> None:
    """The same for bytes that were never a request."""
    assert fault(body) in {"", "otlp.malformed"}


@pytest.mark.services
def test_the_official_messages_are_read_alike() -> None:
    """A thousand random requests of the official classes: their bytes and their JSON, read alike."""
    python = needs.environment("mlflow")
    script = [str(python), str(CLIENT / "otlp_messages.py"), "1000"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=120, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 1000
    for line in lines:
        found = list(otlp_protobuf.read_request(base64.b64decode(line["bytes"])))
        assert found == list(otlp_json.read_request(json.dumps(line["json"]).encode())), line[
            "seed"
        ]
        assert [one.span.name for one in found] == line["names"]
        assert msgspec.to_builtins([one.span.start_ns for one in found]) == line["starts"]


def one_span(trace: str = "", **fields: Any) -> Incoming:
    fields = {"id": "1" * 16, "name": "s", "start_ns": 10**9, "end_ns": 2 * 10**9, **fields}
    return Incoming(f"tr-{trace or new_id()}", Span(**fields), {})


def send(wire: Wire, body: bytes, kind: str = BINARY, **headers: str) -> Any:
    headers = {"content-type": kind, "x-mlflow-experiment-id": "0", **headers}
    return wire.http.post("/v1/traces", content=body, headers=headers)


def test_answers_come_in_the_requests_encoding(wire: Wire) -> None:
    """All taken: nothing to say. Some: how many not, and why. None: an error that says why."""
    good, bad = one_span(), one_span(id="0" * 16)
    answer = send(wire, otlp_bytes.request(good))
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (
        200,
        b"",
        BINARY,
    )
    answer = send(
        wire, gzip.compress(as_json(good)), "application/json", **{"content-encoding": "gzip"}
    )
    assert (answer.status_code, answer.json()) == (200, {})
    partial = send(wire, otlp_bytes.request(one_span(), bad, bad))
    assert partial.status_code == 200
    [(field, body)] = otlp_protobuf._fields(partial.content)
    assert (field, dict(otlp_protobuf._fields(body))[1]) == (1, 2)
    merged = {"resourceSpans": []}
    for one in (one_span(), bad):
        merged["resourceSpans"] += json.loads(as_json(one))["resourceSpans"]
    told = send(wire, json.dumps(merged).encode(), "application/json").json()["partialSuccess"]
    assert told["rejectedSpans"] == "1"
    assert "not the identifier of a span" in told["errorMessage"]
    refused = send(wire, otlp_bytes.request(bad))
    assert (refused.status_code, refused.headers["content-type"]) == (400, BINARY)
    status = dict(otlp_protobuf._fields(refused.content))
    assert (status[1], b"identifier" in status[2]) == (3, True)
    refused = send(wire, as_json(bad), "application/json")
    assert (refused.status_code, refused.json()["code"]) == (400, 3)


def test_bad_requests_store_nothing(wire: Wire) -> None:
    """No experiment, an unknown one, other types, torn bytes: 4xx, and no trace of it."""
    one = one_span()
    body = otlp_bytes.request(one)
    assert send(wire, body, **{"x-mlflow-experiment-id": ""}).status_code == 400
    assert send(wire, body, **{"x-mlflow-experiment-id": "987"}).status_code == 404
    assert send(wire, body, **{"x-mlflow-experiment-id": "x' OR 1=1"}).status_code == 404
    assert send(wire, body, **{"x-mlflow-run-id": "f" * 32}).status_code == 404
    assert send(wire, body, "text/plain").status_code == 415
    assert send(wire, body, **{"content-encoding": "br"}).status_code == 415
    assert send(wire, body, **{"content-encoding": "gzip"}).status_code == 400
    assert send(wire, gzip.compress(body)[:-9], **{"content-encoding": "gzip"}).status_code == 400
    assert send(wire, body[:-1]).status_code == 400
    assert send(wire, b"{", "application/json").status_code == 400
    bomb = gzip.compress(b"\x00" * (64 << 20))
    assert send(wire, bomb, **{"content-encoding": "gzip"}).status_code == 413
    found = wire.http.get(f"/api/3.0/mlflow/traces/{one.trace_id}")
    assert (found.status_code, found.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_deep_values_are_refused_at_once(wire: Wire) -> None:
    """A value nested a hundred thousand times is the sender's mistake, found quickly."""
    deep: bytes = b""
    for _ in range(4000):
        deep = otlp_bytes.bytes_field(5, otlp_bytes.bytes_field(1, deep))
    pair = otlp_bytes.bytes_field(1, b"k") + otlp_bytes.bytes_field(2, deep)
    ids = otlp_bytes.bytes_field(1, b"1" * 16) + otlp_bytes.bytes_field(2, b"1" * 8)
    span = otlp_bytes.bytes_field(2, ids + otlp_bytes.bytes_field(9, pair))
    body = otlp_bytes.bytes_field(1, otlp_bytes.bytes_field(2, span))
    nested = b'{"resourceSpans":' + b"[" * 100_000
    for kind, data in ((BINARY, body), ("application/json", nested)):
        answer, seconds = shortest(partial(send, wire, data, kind), 1.0)
        assert answer.status_code == 400
        assert seconds < 1.0


def test_spans_of_a_run_and_values_of_every_kind(wire: Wire) -> None:
    """Spans with the header of a run are that run's; every kind of value is read back."""
    run_id = wire.new_run()
    values = {"b": b"\x00\xff", "n": -(2**63), "x": math.inf, "l": [1, "a", None], "m": {"k": {}}}
    one = one_span(attributes=values)
    assert send(wire, otlp_bytes.request(one), **{"x-mlflow-run-id": run_id}).status_code == 200
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    asked = {"locations": [place], "filter": f"run_id = '{run_id}'"}
    [found] = wire.http.post("/api/3.0/mlflow/traces/search", json=asked).json()["traces"]
    assert found["trace_id"] == one.trace_id
    params = {"trace_id": one.trace_id}
    [span] = wire.http.get("/api/3.0/mlflow/traces/get", params=params).json()["trace"]["spans"]
    assert {pair["key"]: pair["value"] for pair in span["attributes"]} == {
        "b": {"bytes_value": "AP8="},
        "n": {"int_value": -(2**63)},
        "x": {"double_value": "Infinity"},
        "l": {"array_value": {"values": [{"int_value": 1}, {"string_value": "a"}, {}]}},
        "m": {
            "kvlist_value": {"values": [{"key": "k", "value": {"kvlist_value": {"values": []}}}]}
        },
    }
