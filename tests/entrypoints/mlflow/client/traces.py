# ruff: noqa: T201, PT017, PT018, BLE001
"""Traces by the real MLflow client; prints one line per step: python traces.py URI [STEP...]."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import uuid

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource, SpanType
from mlflow.exceptions import MlflowException

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
VERSION = tuple(int(part) for part in mlflow.__version__.split(".")[:2])


def fresh(name: str) -> mlflow.entities.Experiment:
    return mlflow.set_experiment(f"{name} {uuid.uuid4().hex}")


def refused(code: str, call, *arguments, **options) -> None:
    try:
        call(*arguments, **options)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, str(error))
        return
    raise AssertionError(f"{call} was not refused")


@mlflow.trace(span_type=SpanType.TOOL, attributes={"depth": 1})
def double(number: int) -> int:
    return 2 * number


@mlflow.trace(name="answer")
def answer(question: str) -> dict:
    with mlflow.start_span("retrieve", span_type=SpanType.RETRIEVER) as span:
        span.set_inputs({"q": question})
        span.set_outputs([{"page": "größe", "score": 0.5}])
        span.set_attributes({"k": 3, "ratio": 0.25, "flag": True, "deep": {"a": [1, {"b": None}]}})
    if question == "fail":
        raise ValueError("no answer")
    return {"text": f"{question}?", "number": double(4)}


def last() -> str:
    mlflow.flush_trace_async_logging()
    return mlflow.get_last_active_trace_id()


def spans() -> None:
    fresh("spans")
    assert answer("why") == {"text": "why?", "number": 8}
    trace = mlflow.get_trace(last())
    assert trace.info.state == "OK" and trace.info.execution_duration is not None
    assert trace.info.request_preview == '{"question": "why"}', trace.info.request_preview
    assert trace.info.tags["mlflow.traceName"] == "answer"
    by_name = {span.name: span for span in trace.data.spans}
    assert set(by_name) == {"answer", "retrieve", "double"}
    assert by_name["answer"].parent_id is None
    assert by_name["retrieve"].parent_id == by_name["answer"].span_id
    assert by_name["retrieve"].span_type == "RETRIEVER"
    assert by_name["retrieve"].outputs == [{"page": "größe", "score": 0.5}]
    attributes = by_name["retrieve"].attributes
    assert (attributes["k"], attributes["ratio"], attributes["flag"]) == (3, 0.25, True)
    assert attributes["deep"] == {"a": [1, {"b": None}]}
    assert by_name["double"].inputs == {"number": 4} and by_name["double"].outputs == 8
    assert trace.data.request == '{"question": "why"}'
    with contextlib.suppress(ValueError):
        answer("fail")
    failed = mlflow.get_trace(last())
    assert failed.info.state == "ERROR"
    root = next(span for span in failed.data.spans if span.parent_id is None)
    assert root.status.status_code == "ERROR" and root.events[0].name == "exception"
    assert root.events[0].attributes["exception.message"] == "no answer"
    refused("RESOURCE_DOES_NOT_EXIST", client.get_trace, "tr-" + "0" * 31 + "1")


def run_traces() -> None:
    experiment = fresh("run traces").experiment_id
    with mlflow.start_run() as run:
        answer("inside")
    last()
    answer("outside")
    last()
    found = mlflow.search_traces(
        experiment_ids=[experiment], run_id=run.info.run_id, return_type="list"
    )
    assert [t.info.request_preview for t in found] == ['{"question": "inside"}'], found
    assert found[0].info.trace_metadata["mlflow.sourceRun"] == run.info.run_id


def searches() -> None:
    experiment = fresh("trace searches").experiment_id
    ids = []
    for number in range(6):
        with mlflow.start_span(f"n{number % 2}") as span:
            span.set_inputs({"word": f"w{number}"})
            span.set_attribute("rank", f"r{number}")
            if number == 5:
                span.set_status("ERROR")
        ids.append(last())
        client.set_trace_tag(ids[-1], "group", "a" if number < 3 else "b")
        client.set_trace_tag(ids[-1], "with space", f"x{number}")

    def found(filter_string: str = "", **options) -> list[int]:
        traces = client.search_traces([experiment], filter_string, **options)
        return [ids.index(trace.info.trace_id) for trace in traces]

    assert found() == [5, 4, 3, 2, 1, 0]
    assert found("tags.group = 'a'") == [2, 1, 0]
    assert found("tag.group != 'a'") == [5, 4, 3]
    assert found("tags.`with space` = 'x4'") == [4]
    assert found("attributes.name = 'n1' and tags.group = 'b'") == [5, 3]
    assert found("trace.status = 'ERROR'") == [5]
    assert found("status = 'OK' and timestamp > 0 and execution_time >= 0")[0] == 4
    start = client.get_trace(ids[2]).info.timestamp_ms
    assert set(found(f"timestamp_ms <= {start}")) >= {0, 1, 2}
    assert found("timestamp_ms > 9999999999999") == []
    assert found(order_by=["timestamp_ms ASC"]) == [0, 1, 2, 3, 4, 5]
    assert found(order_by=["name ASC", "timestamp_ms DESC"]) == [4, 2, 0, 5, 3, 1]
    if VERSION >= (3, 4):
        assert found("span.attributes.rank = 'r3'") == [3]
        assert found("span.name = 'n1' and span.attributes.rank LIKE '%5'") == [5]
        assert found("trace.text LIKE '%w2%'") == [2]
        assert found("tags.nothing IS NULL and metadata.nothing IS NULL")[0] == 5
    pages, token = [], None
    while True:
        page = client.search_traces([experiment], max_results=4, page_token=token)
        pages += [ids.index(trace.info.trace_id) for trace in page]
        token = page.token
        if not token:
            break
    assert pages == [5, 4, 3, 2, 1, 0]
    frame = mlflow.search_traces(experiment_ids=[experiment], filter_string="tags.group = 'b'")
    assert len(frame) == 3 and set(frame["trace_id"]) == set(ids[3:])
    for bad in ("nothing = 'x'", "status = 3", "timestamp_ms > 'x'", "status = 'OK' OR name = 'x'"):
        refused("INVALID_PARAMETER_VALUE", client.search_traces, [experiment], bad)
    refused("INVALID_PARAMETER_VALUE", client.search_traces, [experiment], page_token="junk")
    changes(experiment, ids, found)


def changes(experiment: str, ids: list[str], found) -> None:
    client.set_trace_tag(ids[0], "gone", "1")
    assert client.get_trace(ids[0]).info.tags["gone"] == "1"
    client.delete_trace_tag(ids[0], "gone")
    assert "gone" not in client.get_trace(ids[0]).info.tags
    refused("RESOURCE_DOES_NOT_EXIST", client.delete_trace_tag, ids[0], "gone")
    assert client.delete_traces(experiment, trace_ids=ids[:2]) == 2
    assert found() == [5, 4, 3, 2]
    assert client.delete_traces(experiment, max_timestamp_millis=9999999999999, max_traces=1) == 1
    assert found() == [5, 4, 3]
    refused("RESOURCE_DOES_NOT_EXIST", client.get_trace, ids[0])


def assessments() -> None:
    experiment = fresh("assessments").experiment_id
    answer("good")
    trace_id = last()
    human = AssessmentSource(source_type="HUMAN", source_id="me")
    given = mlflow.log_feedback(
        trace_id=trace_id,
        name="quality",
        value=0.75,
        source=human,
        rationale="so",
        metadata={"a": "b"},
    )
    mlflow.log_feedback(trace_id=trace_id, name="fine", value=True, source=human)
    mlflow.log_feedback(trace_id=trace_id, name="why", value={"x": ["y", 1.0]}, source=human)
    mlflow.log_feedback(trace_id=trace_id, name="broken", error=ValueError("no"), source=human)
    mlflow.log_expectation(
        trace_id=trace_id, name="expected", value={"text": ["good?"]}, source=human
    )
    found = {one.name: one for one in mlflow.get_trace(trace_id).info.assessments}
    assert set(found) == {"quality", "fine", "why", "broken", "expected"}
    assert found["quality"].value == 0.75 and found["quality"].rationale == "so"
    assert found["quality"].metadata == {"a": "b"} and found["quality"].source.source_id == "me"
    assert found["fine"].value is True and found["why"].value == {"x": ["y", 1.0]}
    assert found["broken"].error.error_message == "no"
    assert found["expected"].value == {"text": ["good?"]}
    read = mlflow.get_assessment(trace_id, given.assessment_id)
    assert (read.value, read.create_time_ms) == (0.75, given.create_time_ms)
    if VERSION >= (3, 4):
        hits = client.search_traces(
            [experiment], "feedback.quality > 0.5 and feedback.fine = 'true'"
        )
        assert [hit.info.trace_id for hit in hits] == [trace_id]
        assert len(client.search_traces([experiment], "feedback.quality > 0.8")) == 0
    mlflow.update_assessment(
        trace_id,
        given.assessment_id,
        mlflow.entities.Feedback(name="quality", value=0.1, source=human),
    )
    assert mlflow.get_assessment(trace_id, given.assessment_id).value == 0.1
    over = mlflow.override_feedback(
        trace_id=trace_id, assessment_id=given.assessment_id, value=0.9, source=human
    )
    assert not mlflow.get_assessment(trace_id, given.assessment_id).valid
    mlflow.delete_assessment(trace_id, over.assessment_id)
    assert mlflow.get_assessment(trace_id, given.assessment_id).valid
    refused("RESOURCE_DOES_NOT_EXIST", mlflow.get_assessment, trace_id, over.assessment_id)


def links() -> None:
    experiment = fresh("trace links").experiment_id
    answer("linked")
    trace_id = last()
    run = client.create_run(experiment).info.run_id
    if VERSION < (3, 4):
        return
    client.link_traces_to_run([trace_id], run)
    found = mlflow.search_traces(experiment_ids=[experiment], run_id=run, return_type="list")
    assert [trace.info.trace_id for trace in found] == [trace_id]


def sessions() -> None:
    """Tokens, session and user of a trace that its client told."""
    fresh("sessions")
    with mlflow.start_span("chat", span_type=SpanType.CHAT_MODEL) as span:
        mlflow.update_current_trace(
            metadata={"mlflow.trace.session": "s1", "mlflow.trace.user": "u1"},
            tags={"kind": "chat"},
            client_request_id="req-1",
        )
        usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
        span.set_attribute("mlflow.chat.tokenUsage", usage)
    info = mlflow.get_trace(last()).info
    assert info.token_usage["total_tokens"] == 7, info.trace_metadata
    assert info.client_request_id == "req-1" and info.tags["kind"] == "chat"
    assert info.trace_metadata["mlflow.trace.session"] == "s1"


if __name__ == "__main__":
    wanted = sys.argv[2:]
    failed = 0
    for step in (spans, run_traces, searches, assessments, links, sessions):
        if wanted and step.__name__ not in wanted:
            continue
        try:
            step()
            print("ok", step.__name__, flush=True)
        except Exception as error:
            failed += 1
            print("FAILED", step.__name__, type(error).__name__, str(error)[:500], flush=True)
            traceback.print_exc()
    sys.exit(failed)
