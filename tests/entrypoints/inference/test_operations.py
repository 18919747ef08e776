"""What who runs a gateway relies on: metrics, access log, reload, names, leaving, being alone."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command_gateway import CommandGateway
from tests import needs

import mainspring as ms
from mainspring._adapters.opentelemetry.tracing import OtlpTracer
from mainspring.serving import Route, Variant

TOKEN = "a-token-of-twenty-four-chars"


@pytest.fixture
def start(tmp_path):
    """Starts gateways that end with the test."""
    running: list[CommandGateway] = []

    def one(*words: str, **environment: str) -> CommandGateway:
        running.append(CommandGateway(tmp_path / "work", *words, **environment))
        return running[-1]

    yield one
    for each in running:
        each.stop()


def test_the_metrics_are_whole_and_as_prometheus_reads_them(start):
    """Rate, errors, durations, batches, queue and variants, parsed by Prometheus' own parser."""
    parser = needs.module("prometheus_client.parser")
    gateway = start()
    gateway.deploy(2.0, version="7")
    for _ in range(5):
        gateway.ask()
    assert gateway.send("POST", "/invocations", b"{")[0] == 400
    assert gateway.send("POST", "/endpoints/none/invocations", b"{}")[0] == 404
    families = {one.name: one for one in parser.text_string_to_metric_families(gateway.metrics())}
    who = {"endpoint": "late", "variant": "champion", "version": "7"}

    def value(family, name, **labels):
        return next(
            s.value for s in families[family].samples if (s.name, s.labels) == (name, labels)
        )

    assert (
        value("mainspring_prediction_requests", "mainspring_prediction_requests_total", **who) == 5
    )
    duration = "mainspring_prediction_duration_seconds"
    assert families[duration].type == "histogram"
    assert value(duration, f"{duration}_count", **who) == 5
    assert value(duration, f"{duration}_bucket", **who, le="+Inf") == 5
    errors = "mainspring_prediction_errors"
    assert value(errors, f"{errors}_total", endpoint="late", kind="invalid") == 1
    assert [s.labels["endpoint"] for s in families[errors].samples] == ["late"]  # strangers' never
    responses = "mainspring_gateway_responses"
    assert value(responses, f"{responses}_total", status="404") == 1
    (info,) = families["mainspring_variant_info"].samples
    assert {name: info.labels[name] for name in who} == who
    lane = {"model": info.labels["model"], "lane": "answers"}
    assert value("mainspring_batch_rows", "mainspring_batch_rows_sum", **lane) == 5
    assert value("mainspring_waiting_rows", "mainspring_waiting_rows", **lane) == 0
    buckets = [s for s in families["mainspring_batch_rows"].samples if s.name.endswith("_bucket")]
    assert [s.value for s in buckets] == sorted(s.value for s in buckets)
    for family in families.values():
        assert family.documentation


def test_the_access_log_has_a_line_per_request_and_survives_rotation(start, tmp_path):
    """Each request is a line of JSON; a file that was moved away is simply begun anew."""
    log = tmp_path / "access.jsonl"
    gateway = start("--access-log", str(log), "--processes", "2", "--grpc-port", "0")
    gateway.deploy(1.0)
    for _ in range(20):
        gateway.ask()
    wait_for(log, lambda lines: sum("/invocations" in line for line in lines) == 20)
    log.rename(tmp_path / "access.1")
    gateway.send("POST", "/invocations?secret=1", b"{")
    wait_for(log, lambda lines: len(lines) >= 1)
    assert gateway.stop() == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (refused,) = [one for one in lines if one.get("status") == 400]
    assert (refused["wire"], refused["method"], refused["path"]) == ("rest", "POST", "/invocations")
    assert refused["time"].endswith("Z")
    assert 0 < refused["seconds"] < 30
    assert refused["bytes"] > 0
    assert "secret" not in log.read_text()


def wait_for(path: Path, right) -> None:
    """Until the file's lines are right; the test's own time limit ends it otherwise."""
    tick = threading.Event()
    for _ in range(1000):
        if path.exists() and right(path.read_text().splitlines()):
            return
        tick.wait(0.02)
    raise AssertionError(path.read_text() if path.exists() else "no file")


def test_a_log_that_cannot_be_written_is_said_at_the_start(start, tmp_path):
    """Not found out at the first request."""
    with pytest.raises(RuntimeError, match=r"http.access_log"):
        start("--access-log", str(tmp_path / "none" / "access.jsonl"))


def test_sighup_reads_the_names_the_token_and_the_routes_again(start):
    """Settings of the project file count after SIGHUP, without a dropped request."""
    gateway = start("--name", "gateway.example")
    project = gateway.workspace / "mainspring.toml"
    gateway.deploy(1.0)
    assert gateway.send("GET", "/health", host="gateway.example")[0] == 200
    assert gateway.send("GET", "/health", host="late.example")[0] == 400
    project.write_text(f'[settings]\ngateway_names = "late.example"\ntoken = "{TOKEN}"\n')
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_for_line("were read again")
    assert gateway.send("GET", "/health", host="late.example")[0] == 200
    assert gateway.send("GET", "/v2", host="late.example")[0] == 401
    assert gateway.send("GET", "/v2", authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_sighup_that_reads_nonsense_changes_nothing(start):
    """A settings file that is wrong is said, and the gateway goes on as before."""
    gateway = start()
    gateway.deploy(1.0)
    (gateway.workspace / "mainspring.toml").write_text("[settings\n")
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_for_line("were not read again")
    assert gateway.ask() == 1.0


def test_it_is_not_ready_before_it_leaves_and_still_answers(start):
    """After SIGTERM a lingering gateway says that it is not ready, and answers all the same."""
    gateway = start("--linger", "3")
    gateway.deploy(1.0)
    assert gateway.send("GET", "/v2/health/ready")[0] == 200
    gateway.process.send_signal(signal.SIGTERM)
    while gateway.send("GET", "/v2/health/ready")[0] == 200:
        pass
    assert gateway.send("GET", "/ready")[0] == 503
    assert gateway.send("GET", "/ping")[0] == 503
    assert gateway.send("GET", "/health")[0] == 200
    assert gateway.ask() == 1.0
    assert gateway.stop() == 0


def test_it_serves_while_its_database_is_gone(start):
    """With the database file removed, and then replaced by nonsense, answers and records go on."""
    gateway = start("--processes", "2")
    gateway.deploy(1.0)
    with ms.open(gateway.workspace) as ws:
        ws.registry.models.register("late")
    files = [path for path in gateway.workspace.glob("*") if path.is_file()]
    assert files
    for path in files:
        path.unlink()
    assert [gateway.ask() for _ in range(10)] == [1.0] * 10
    for path in files:
        path.write_bytes(b"nonsense")
    assert [gateway.ask() for _ in range(10)] == [1.0] * 10
    gateway.control.seal_records()
    assert "mainspring_records_lost_rows_total 0" in gateway.metrics()
    assert "mainspring_records_stored_rows_total 20" in gateway.metrics()


def test_it_serves_and_is_deployed_to_while_its_database_is_locked(start):
    """A writer that holds the database for ever stops no answer and no change of the routes."""
    gateway = start()
    first, second = gateway.constant(1.0), gateway.constant(2.0)
    with ms.open(gateway.workspace) as ws:
        ws.registry.models.register("late")
    (path,) = [
        one
        for one in gateway.workspace.glob("*")
        if one.is_file() and one.read_bytes()[:6] == b"SQLite"
    ]
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        for value, model in ((1.0, first), (2.0, second)):
            champion = Variant(name="champion", model=model, version=str(value))
            gateway.control.deploy("late", Route(variants=(champion,)))
            assert gateway.ask() == value
    finally:
        holder.close()


class Kept:
    """A span processor that keeps what ends."""

    def __init__(self) -> None:
        self.spans = []

    def on_start(self, span, parent_context=None) -> None: ...

    def on_end(self, span) -> None:
        self.spans.append(span)

    def _on_ending(self, span) -> None: ...

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def test_spans_continue_the_callers_trace():
    """A valid traceparent is the parent; a broken one begins a new trace; failures are marked."""
    needs.module("opentelemetry.sdk")
    kept = Kept()
    tracer = OtlpTracer(kept)
    trace = "0af7651916cd43dd8448eb211c80319c"
    span = tracer.start("score", {"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert span.traceparent.split("-")[1] == trace
    span.end({"http.response.status_code": 503}, failed=True)
    tracer.start("score", {"traceparent": "nonsense"}).end({}, failed=False)
    tracer.close()
    first, second = kept.spans
    assert first.parent.span_id == 0xB7AD6B7169203331
    assert first.status.status_code.name == "ERROR"
    assert dict(first.attributes) == {"http.response.status_code": 503}
    assert second.parent is None
    assert first.resource.attributes["service.name"] == "mainspring-gateway"


def test_traces_reach_a_collector(start):
    """With traces on, the collector gets the gateway's span, and the caller its trace's name."""
    needs.module("opentelemetry.sdk")
    bodies, got = [], threading.Event()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()
            got.set()

        def log_message(self, *_): ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        gateway = start(
            MAINSPRING_TRACES="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=address,
            OTEL_EXPORTER_OTLP_COMPRESSION="none",
            OTEL_BSP_SCHEDULE_DELAY="50",
        )
        gateway.deploy(1.0)
        trace = os.urandom(16).hex()
        gateway.send(
            "POST",
            "/invocations",
            b'{"instances": [[1.0]]}',
            traceparent=f"00-{trace}-b7ad6b7169203331-01",
        )
        assert got.wait(30)
        gateway.stop()
        server.shutdown()
    assert any(bytes.fromhex(trace) in body and b"mainspring-gateway" in body for body in bodies)


def test_a_workspace_opened_elsewhere_does_not_stop_it(start):
    """A library that works in the same workspace meanwhile does not hold the gateway up."""
    gateway = start()
    with ms.open(gateway.workspace):
        gateway.deploy(1.0)
        assert gateway.ask() == 1.0
