"""Traces as clients send them: the JSON of protocol buffers, moments and lengths as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from mainspring._entrypoints.mlflow.writing import without_empty
from mainspring.core.errors import Invalid
from mainspring.core.ids import new_id
from mainspring.tracking.traces_types import (
    PREFIX,
    STATES,
    Assessment,
    Judgement,
    Trace,
    TraceState,
)
from mainspring.tracking.types import DEFAULT_EXPERIMENT

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII
)
_LENGTH: Final = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s\Z", re.ASCII)
_SOURCES: Final = ("SOURCE_TYPE_UNSPECIFIED", "HUMAN", "LLM_JUDGE", "CODE")
_SERIALIZED: Final = "JSON_FORMAT"


class Place(msgspec.Struct):
    experiment_id: str | int | None = None


class Location(msgspec.Struct):
    type: str | int | None = None
    mlflow_experiment: Place | None = None


class Source(msgspec.Struct):
    source_type: str | int | None = None
    source_id: str | None = None


class Fault(msgspec.Struct):
    error_code: str | None = None
    error_message: str | None = None
    stack_trace: str | None = None


class Feedback(msgspec.Struct):
    value: Any = None
    error: Fault | None = None


class Serialized(msgspec.Struct):
    serialization_format: str | None = None
    value: str | None = None


class Expectation(msgspec.Struct):
    value: Any = None
    serialized_value: Serialized | None = None


class Issue(msgspec.Struct):
    issue_name: str | None = None


class AssessmentIn(msgspec.Struct):
    """An assessment as clients send it."""

    assessment_id: str | None = None
    assessment_name: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    source: Source | None = None
    create_time: str | None = None
    last_update_time: str | None = None
    feedback: Feedback | None = None
    expectation: Expectation | None = None
    issue: Issue | None = None
    rationale: str | None = None
    error: Fault | None = None
    metadata: dict[str, str] | None = None
    overrides: str | None = None
    valid: bool | None = None


class TraceIn(msgspec.Struct):
    """A trace as clients send it."""

    trace_id: str | None = None
    client_request_id: str | None = None
    trace_location: Location | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    request_time: str | None = None
    execution_duration: str | None = None
    state: str | int | None = None
    trace_metadata: dict[str, str] | None = None
    tags: dict[str, str] | None = None
    assessments: list[AssessmentIn] | None = None


def _bad(what: str, text: object) -> Invalid:
    return Invalid("http.bad_number", f"Invalid value {str(text)[:40]!r} for parameter '{what}'.")


def moment_ms(text: str | None, what: str, otherwise: int = 0) -> int:
    """Milliseconds since 1970 of a moment in RFC 3339. Errors: ``http.bad_number``."""
    if text is None:
        return otherwise
    match = _MOMENT.match(text)
    if not match:
        raise _bad(what, text)
    try:
        whole = datetime.fromisoformat(f"{match[1]}{'+00:00' if match[3] == 'Z' else match[3]}")
        seconds = (whole - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        raise _bad(what, text) from error
    return seconds * 1000 + int((match[2] or "0").ljust(3, "0")[:3])


def length_ms(text: str | None) -> int | None:
    """Milliseconds of a length of time such as ``1.5s``. Errors: ``http.bad_number``."""
    if text is None:
        return None
    match = _LENGTH.match(text)
    if not match:
        raise _bad("execution_duration", text)
    ms = int(match[2]) * 1000 + int((match[3] or "0").ljust(3, "0")[:3])
    return -ms if match[1] else ms


def state_of(found: str | int | None) -> TraceState:
    """The state of a trace by name or number. Errors: ``http.bad_state``."""
    text = str(found or STATES[0])
    if text.isascii() and text.isdigit() and int(text) < len(STATES):
        return STATES[int(text)]
    for state in STATES:
        if text == state:
            return state
    raise Invalid("http.bad_state", f"Invalid value {text[:40]!r} for the state of a trace.")


def experiment_of(location: Location | None) -> str:
    """The experiment that a location names. Errors: ``http.foreign_traces``."""
    if location is None or location.mlflow_experiment is None:
        raise Invalid(
            "http.foreign_traces",
            "Only traces in an MLflow experiment are kept by this server.",
            hint="Name the experiment in trace_location.",
        )
    found = location.mlflow_experiment.experiment_id
    return DEFAULT_EXPERIMENT if found is None else str(found)


def trace_of(asked: TraceIn, now_ms: int) -> Trace:
    """The trace that a client tells. Errors: ``http.missing_field`` and those of its parts."""
    return Trace(
        id=asked.trace_id or f"{PREFIX}{new_id()}",
        experiment_id=experiment_of(asked.trace_location),
        start_ms=moment_ms(asked.request_time, "request_time", now_ms),
        duration_ms=length_ms(asked.execution_duration),
        state=state_of(asked.state),
        client_id=asked.client_request_id or "",
        request=asked.request_preview,
        response=asked.response_preview,
        finished=True,
        metadata=asked.trace_metadata or {},
        tags=asked.tags or {},
        assessments=tuple(assessment_of(one, now_ms) for one in asked.assessments or ()),
    )


def assessment_of(asked: AssessmentIn, now_ms: int) -> Assessment:
    """The assessment that a client sends. Errors: ``http.bad_assessment``."""
    kind, value, error = content_of(asked)
    source = asked.source or Source()
    if kind is None or not asked.assessment_name:
        raise Invalid(
            "http.bad_assessment",
            "An assessment needs a name and one of feedback, expectation and issue.",
        )
    return Assessment(
        id=asked.assessment_id or f"a-{new_id()}",
        name=asked.assessment_name,
        kind=kind,
        value=value,
        error=error,
        source_type=_source_type(source.source_type),
        source_id=source.source_id or "",
        created_ms=moment_ms(asked.create_time, "create_time", now_ms),
        updated_ms=moment_ms(asked.last_update_time, "last_update_time", now_ms),
        span_id=asked.span_id or "",
        rationale=asked.rationale or "",
        metadata=asked.metadata or {},
        overrides=asked.overrides or "",
        valid=asked.valid is not False,
    )


def content_of(asked: AssessmentIn) -> tuple[Judgement | None, Any, dict[str, str]]:
    """Kind, value and error of an assessment; no kind when it has no value."""
    given = [one for one in (asked.feedback, asked.expectation, asked.issue) if one is not None]
    if len(given) > 1:
        raise Invalid(
            "http.bad_assessment",
            "Exactly one of feedback, expectation and issue can be given.",
        )
    if asked.feedback is not None:
        fault = asked.feedback.error or asked.error
        error = without_empty(msgspec.structs.asdict(fault)) if fault else {}
        return "feedback", asked.feedback.value, error
    if asked.expectation is not None:
        return "expectation", _expected(asked.expectation), {}
    if asked.issue is not None:
        return "issue", asked.issue.issue_name or "", {}
    return None, None, {}


def _expected(asked: Expectation) -> Any:
    if asked.serialized_value is None:
        return asked.value
    if asked.serialized_value.serialization_format != _SERIALIZED:
        raise Invalid("http.bad_assessment", "Only JSON_FORMAT is known for serialized values.")
    try:
        return msgspec.json.decode(asked.serialized_value.value or "null")
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid("http.bad_assessment", "The serialized value is not JSON.") from error


def _source_type(found: str | int | None) -> str:
    text = str(found or 0)
    if text.isascii() and text.isdigit() and int(text) < len(_SOURCES):
        return _SOURCES[int(text)]
    name = "LLM_JUDGE" if text == "AI_JUDGE" else text
    if name not in _SOURCES:
        raise Invalid("http.bad_assessment", f"{text[:40]!r} is not a kind of source.")
    return name
