from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.postgres_server import running
from tests.timing import shortest
from wire import Wire, serving

from mainspring._adapters.sql.registry import SqlRegistry
from mainspring._bootstrap.tracking import open_tracking
from mainspring._entrypoints._http import Route
from mainspring._entrypoints.mlflow import mlflow_mount
from mainspring.registry import open_registry
from mainspring.testing.workspace import memory_ports

V2, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
JSON = {"content-type": "application/json"}
SECONDS = 0.05
SERVICES = pytest.mark.services
CLAUSES = " and ".join(["metrics.m > 1"] * 500)
DIRTY = ("a\x00b", "a\u202eb", "a\u2066b", "a\x1b[2Jb", "a\nb", "\ud800")
FAR = (2**63, -(2**63) - 1, 10**400, 1e999)
DEEP = b"[" * 100_000


def routes() -> list[Route]:
    """Every route under the clients' prefix."""
    with memory_ports() as ports:
        tracking = open_tracking(ports.database, ports.objects, ports.clock)
        registry = open_registry(
            ports.database, SqlRegistry(dialect="sqlite"), ports.clock, ports.objects
        )
        found = mlflow_mount(tracking, registry).routes
    return [route for route in found if not route.pattern.startswith("/ajax-api")]


ROUTES = routes()
WITH_BODY = [route for route in ROUTES if route.method != "GET" and not route.streams]
SEARCHES = (
    f"{V2}/runs/search",
    f"{V2}/experiments/search",
    f"{V2}/logged-models/search",
    f"{V3}/traces/search",
)
PLACE = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
NAMED: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("POST", f"{V2}/experiments/create", {}, "name"),
    ("POST", f"{V2}/runs/create", {"experiment_id": "0"}, "run_name"),
    ("POST", f"{V2}/runs/log-metric", {"value": 1, "timestamp": 1}, "key"),
    ("POST", f"{V2}/runs/log-parameter", {"value": "1"}, "key"),
    ("POST", f"{V2}/runs/set-tag", {"value": "1"}, "key"),
    ("POST", f"{V2}/runs/create", {"experiment_id": "0"}, "user_id"),
    ("POST", f"{V2}/runs/set-tag", {"key": "mlflow.runName"}, "value"),
    ("POST", f"{V2}/runs/update", {}, "run_name"),
    ("POST", f"{V2}/experiments/update", {"experiment_id": "0"}, "new_name"),
    ("POST", f"{V2}/registered-models/create", {}, "name"),
    ("POST", f"{V2}/logged-models", {"experiment_id": "0"}, "name"),
    ("PATCH", f"{V2}/traces/TRACE/tags", {"value": "1"}, "key"),
)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=SERVICES)])
def own(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Wire, Path]]:
    """A server of this module on each database, and its folder, to see what is stored."""
    folder = tmp_path_factory.mktemp("attacked")
    with ExitStack() as stack:
        fresh = request.param == "postgres"
        database = stack.enter_context(running(fsync=False)).fresh() if fresh else ""
        address, _ = stack.enter_context(serving(folder, database=database))
        wire = Wire(address)
        wire.new_run()
        RIGHT["run_id"] = wire.new_run()
        wire.post("registered-models/create", name="fuzzed")
        yield wire, folder
        wire.http.close()


def state(wire: Wire) -> list[Any]:
    """What the server holds, as its own searches tell it."""
    found = [wire.http.post(f"{V2}/runs/search", json={"experiment_ids": ["0"]}).json()]
    found.append(wire.http.post(f"{V2}/experiments/search", json={"view_type": "ALL"}).json())
    found.append(wire.http.get(f"{V2}/registered-models/search").json())
    found.append(
        wire.http.post(f"{V2}/logged-models/search", json={"experiment_ids": ["0"]}).json()
    )
    found.append(wire.http.post(f"{V3}/traces/search", json={"locations": [PLACE]}).json())
    return found


def refused_at_once(
    wire: Wire, method: str, path: str, body: bytes, limit: float = SECONDS
) -> None:
    answer, seconds = shortest(
        lambda: wire.http.request(method, path, content=body, headers=JSON), limit
    )
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert answer.json()["error_code"]
    assert seconds < limit, seconds


@pytest.mark.parametrize("path", SEARCHES)
@pytest.mark.parametrize(
    "text",
    [
        "tags.`a\0b` = 'x'",
        "tags.\"a\0b\" = 'x'",
        CLAUSES,
        "(" * 100_000,
        ")" * 100_000,
        "metrics.m > 1 and " * 900,
        "params.a = '" + "x" * 1_000_000,
        "params.a LIKE '" + "%a" * 5_000 + "'",
        "tags.`" * 20_000,
        "attributes.run_id IN (" + "'a'," * 5_000,
        "name RLIKE '(a+)+$'",
        "tags.a = 'x\x00'",
        "metrics.m > " + "9" * 10_000,
        "metrics.m > 1e999",
        "' OR 1=1 --",
        "name = 'x'; DROP TABLE runs",
    ],
    ids=lambda text: text[:12],
)
def test_hostile_filters_are_400_at_once(own: tuple[Wire, Path], path: str, text: str) -> None:
    """Long, deep, torn and clever filters: an error within 50 ms."""
    body = json.dumps({"experiment_ids": ["0"], "locations": [PLACE], "filter": text}).encode()
    refused_at_once(own[0], "POST", path, body)
    if len(text) < 10_000 and "registered" not in path:
        for where in ("registered-models", "model-versions"):
            answer = own[0].http.get(f"{V2}/{where}/search?filter={quote(text)}")
            assert answer.status_code < 500


@pytest.mark.parametrize("dirty", DIRTY, ids=ascii)
@pytest.mark.parametrize(("method", "path", "fields", "name"), NAMED, ids=lambda v: str(v)[-24:])
def test_dirty_names_are_refused(
    own: tuple[Wire, Path], method: str, path: str, fields: dict[str, Any], name: str, dirty: str
) -> None:
    """NUL, escapes, line ends and letters that turn the text around are in no name."""
    wire = own[0]
    told = {"trace_id": "tr-" + "1" * 32, "trace_location": PLACE}
    wire.http.post(f"{V3}/traces", json={"trace": {"trace_info": told}})
    runs = wire.post("runs/search", experiment_ids=["0"])["runs"]
    fields = {**fields, name: dirty, "run_id": runs[0]["info"]["run_id"]}
    before = state(wire)
    body = json.dumps(fields).encode()
    refused_at_once(wire, method, path.replace("TRACE", str(told["trace_id"])), body)
    assert state(wire) == before


@pytest.mark.slow
@pytest.mark.parametrize("route", WITH_BODY, ids=lambda r: f"{r.method} {r.pattern}")
@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b'{"a":' * 50_000,
        b'{"run_id":"x","value":NaN}',
        b'{"x":Infinity}',
        b'{"x":-Infinity}',
        b'{"x":1e999}',
        b'{"key":"\xff"}',
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b"{}}",
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_bodies_that_are_not_json_objects_are_refused_at_once(
    own: tuple[Wire, Path], route: Route, body: bytes
) -> None:
    """On every address: deep, bare NaN, out of range, torn or of another kind: 4xx within 50 ms."""
    path = route.pattern.replace("{folder*}", "f").replace("{path*}", "p")
    for name in ("trace_id", "assessment_id", "model_id", "key", "upload_id", "number"):
        path = path.replace(f"{{{name}}}", "x")
    # Fields that an address does not know are passed over, and some addresses read no body.
    unread = body in {b'{"x":1e999}', b'{"key":"\xff"}'}
    if unread or (route.method == "DELETE" and route.pattern.endswith("}")):
        answer = own[0].http.request(route.method, path, content=body, headers=JSON)
        assert answer.status_code < 500
        return
    answer, seconds = shortest(
        lambda: own[0].http.request(route.method, path, content=body, headers=JSON), SECONDS
    )
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert seconds < SECONDS


@pytest.mark.parametrize("number", FAR, ids=lambda n: str(n)[:8])
def test_numbers_out_of_range_store_nothing(own: tuple[Wire, Path], number: float) -> None:
    """Steps, times, limits and values beyond what can be kept are refused."""
    wire = own[0]
    run_id = wire.new_run()
    text = str(number) if isinstance(number, int) else "1e999"
    before = state(wire)
    for path, fields in (
        ("runs/log-metric", '"run_id":"%s","key":"m","value":1,"timestamp":1,"step":%s'),
        ("runs/log-metric", '"run_id":"%s","key":"m","value":1,"timestamp":%s'),
        ("runs/create", '"user_id":"%s","experiment_id":"0","start_time":%s'),
        ("runs/update", '"run_id":"%s","end_time":%s'),
        ("runs/search", '"filter":"","experiment_ids":["%s"],"max_results":%s'),
        ("traces", '"tags":[{"key":"%s"}],"experiment_id":"0","timestamp_ms":%s'),
        ("traces/delete-traces", '"page":"%s","experiment_id":"0","max_timestamp_millis":%s'),
    ):
        body = ("{" + fields % (run_id, text) + "}").encode()
        refused_at_once(wire, "POST", f"{V2}/{path}", body)
    value = json.dumps({"run_id": run_id, "key": "m", "value": "1e999", "timestamp": 1}).encode()
    refused_at_once(wire, "POST", f"{V2}/runs/log-metric", value)
    assert state(wire) == before


def test_tags_of_twenty_megabytes_are_refused_at_once(own: tuple[Wire, Path]) -> None:
    """They are refused by their length, before they are read, wherever a tag may be set."""
    body = b'{"run_id":"x","key":"t","value":"' + b"x" * 20_000_000 + b'"}'
    for method, path in (
        ("POST", f"{V2}/runs/set-tag"),
        ("POST", f"{V2}/experiments/set-experiment-tag"),
        ("POST", f"{V2}/registered-models/set-tag"),
        ("POST", f"{V2}/model-versions/set-tag"),
        ("PATCH", f"{V2}/logged-models/m-x/tags"),
        ("PATCH", f"{V2}/traces/tr-x/tags"),
    ):
        answer = own[0].http.request(method, path, content=body, headers=JSON)
        assert answer.status_code == 413, path


NAMES = [
    "experiment_id",
    "experiment_ids",
    "experiment_name",
    "name",
    "new_name",
    "key",
    "value",
    "run_id",
    "run_uuid",
    "run_ids",
    "run_name",
    "user_id",
    "start_time",
    "end_time",
    "status",
    "tags",
    "params",
    "metrics",
    "timestamp",
    "step",
    "data",
    "model_json",
    "datasets",
    "models",
    "max_results",
    "page_token",
    "filter",
    "order_by",
    "view_type",
    "run_view_type",
    "metric_key",
    "path",
    "artifact_location",
    "model_id",
    "model_type",
    "source_run_id",
    "version",
    "source",
    "description",
    "alias",
    "stage",
    "archive_existing_versions",
    "stages",
    "trace",
    "trace_id",
    "trace_ids",
    "trace_info",
    "request_ids",
    "locations",
    "assessment",
    "update_mask",
    "max_timestamp_millis",
    "max_traces",
    "timestamp_ms",
    "request_metadata",
    "upload_id",
    "num_parts",
    "parts",
    "start_step",
    "end_step",
    "prompt_versions",
]
LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "0", "a", "ALL", "READY", "1", "-1", "name = 'x'", "metrics.m DESC", "NaN"]
    )
    | st.text(max_size=8)
)
ANY = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*NAMES, "key", "value"]), inner, max_size=3)
    ),
    max_leaves=8,
)
TRACE = {"trace_id": "tr-" + "2" * 32, "trace_location": PLACE, "state": "OK"}
# What fits, so that a request comes past the first check: most fields right, a few at random.
RIGHT: dict[str, Any] = {
    "run_id": "fuzzed",
    "experiment_id": "0",
    "experiment_ids": ["0"],
    "name": "fuzzed",
    "key": "k",
    "value": "1",
    "timestamp": 1,
    "step": 1,
    "version": "1",
    "alias": "live",
    "stage": "Production",
    "stages": ["None"],
    "source": "runs:/fuzzed/m",
    "metrics": [{"key": "m", "value": 1, "timestamp": 1}],
    "params": [{"key": "p", "value": "1"}],
    "tags": [{"key": "t", "value": "1"}],
    "datasets": [{"dataset": {"name": "d", "digest": "x", "source_type": "s", "source": "y"}}],
    "filter": "tags.a = 'x'",
    "order_by": ["name ASC"],
    "max_results": 5,
    "metric_key": "m",
    "path": "a.txt",
    "trace": {"trace_info": TRACE},
    "trace_ids": [TRACE["trace_id"]],
    "locations": [PLACE],
    "assessment": {"assessment_name": "a", "feedback": {"value": 1}},
    "model_json": "{}",
    "status": "FINISHED",
}
BODY = st.builds(
    lambda right, odd: {name: RIGHT[name] for name in right} | odd,
    st.sets(st.sampled_from(sorted(RIGHT)), min_size=len(RIGHT) - 3),
    st.dictionaries(st.sampled_from(NAMES), ANY, max_size=2),
)
SEGMENT = st.text(min_size=1, max_size=6) | st.sampled_from(
    ["tr-1", TRACE["trace_id"], "m-1", "x", "0", "1", "%2e%2e"]
)


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.pattern}")
def test_no_request_is_a_5xx(own: tuple[Wire, Path], route: Route) -> None:
    """On every address, whatever fields come with whatever values: clients would retry a 5xx."""
    wire = own[0]

    @settings(
        max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(BODY, st.lists(SEGMENT, min_size=3, max_size=3))
    def attack(fields: dict[str, Any], segments: list[str]) -> None:
        parts = iter(segments)
        path = "/".join(
            quote(next(parts), safe="", errors="replace") if part.startswith("{") else part
            for part in route.pattern.split("/")
        )
        if route.method == "GET":
            query = {k: v if isinstance(v, list) else [v] for k, v in fields.items()}
            pairs = [(k, str(v)) for k, values in query.items() for v in values]
            text = "&".join(f"{quote(k)}={quote(v, errors='replace')}" for k, v in pairs)
            answer = wire.http.get(f"{path}?{text}")
        else:
            answer = wire.http.request(
                route.method, path, content=json.dumps(fields).encode(), headers=JSON
            )
        assert answer.status_code < 500, (path, fields, answer.text[:500])
        if answer.status_code >= 400 and not route.pattern.startswith("/v1/"):
            assert answer.json()["error_code"]

    attack()


WRONG = (2**63, -1, "a\x00b\ud800", 0.5, [None])


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.pattern}")
def test_one_wrong_field_is_never_a_5xx(own: tuple[Wire, Path], route: Route) -> None:
    """All fields right but one, which is out of range, dirty, huge or of another kind."""
    wire = own[0]
    places = {"trace_id": TRACE["trace_id"], "key": "k", "number": "1", "assessment_id": "a-x"}
    parts = [
        part.strip("{*}") if part.startswith("{") else part for part in route.pattern.split("/")
    ]
    path = "/".join(places.get(part, part) for part in parts)
    more = ("start_time", "end_time", "timestamp_ms", "max_timestamp_millis", "max_traces")
    for name in (*RIGHT, *more, "num_parts", "parts", "new_name", "update_mask", "view_type"):
        for wrong in WRONG:
            fields = {**RIGHT, name: wrong}
            if route.method == "GET":
                listed = {k: v if isinstance(v, list) else [v] for k, v in fields.items()}
                pairs = [(k, str(v)[:5000]) for k, values in listed.items() for v in values]
                text = "&".join(f"{k}={quote(v, errors='replace')}" for k, v in pairs)
                answer = wire.http.get(f"{path}?{text}")
            else:
                body = json.dumps(fields).encode()
                answer = wire.http.request(route.method, path, content=body, headers=JSON)
            assert answer.status_code < 500, (path, name, wrong, answer.text[:300])


def test_after_all_that_the_database_is_sound(own: tuple[Wire, Path]) -> None:
    """The server still answers, and its database passes its own check."""
    assert own[0].http.get("/health").text == "OK"
    for file in own[1].rglob("mainspring.db"):
        with closing(sqlite3.connect(file)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
