"""Traces in MLflow's JSON: moments and lengths as text, spans as OpenTelemetry's messages."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from mainspring._entrypoints.mlflow.reading import Pair
from mainspring._entrypoints.mlflow.writing import without_empty
from mainspring.tracking.traces_types import PREFIX, STATES, Assessment, Span, Trace

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SERIALIZED: Final = "JSON_FORMAT"


def moment(ms: int) -> str:
    """A moment in RFC 3339."""
    try:
        whole = _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        whole = datetime.max.replace(tzinfo=UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}Z"


def trace_info(trace: Trace) -> dict[str, Any]:
    """A trace without its spans."""
    fields = {
        "trace_id": trace.id,
        "client_request_id": trace.client_id,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": trace.experiment_id},
        },
        "request_preview": trace.request,
        "response_preview": trace.response,
        "request_time": moment(trace.start_ms),
        "execution_duration": None if trace.duration_ms is None else _length(trace.duration_ms),
        "state": trace.state,
        "trace_metadata": trace.metadata,
        "tags": trace.tags,
        "assessments": [assessment(trace.id, one) for one in trace.assessments],
    }
    return without_empty(fields)


def _length(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}s"


def assessment(trace_id: str, found: Assessment) -> dict[str, Any]:
    fields = {
        "assessment_id": found.id,
        "assessment_name": found.name,
        "trace_id": trace_id,
        "span_id": found.span_id,
        "source": {"source_type": found.source_type, "source_id": found.source_id},
        "create_time": moment(found.created_ms),
        "last_update_time": moment(found.updated_ms),
        "rationale": found.rationale,
        "metadata": found.metadata,
        "overrides": found.overrides,
        "valid": found.valid,
    }
    return {**without_empty(fields), found.kind: _content(found)}


def _content(found: Assessment) -> dict[str, Any]:
    if found.kind == "issue":
        return {"issue_name": found.value}
    if found.kind == "feedback":
        return {"value": found.value, **({"error": found.error} if found.error else {})}
    if isinstance(found.value, list | dict):
        text = msgspec.json.encode(found.value).decode()
        return {"serialized_value": {"serialization_format": _SERIALIZED, "value": text}}
    return {"value": found.value}


def span(trace_id: str, found: Span) -> dict[str, Any]:
    """A span as the JSON of OpenTelemetry's message, identifiers in Base64."""
    fields = {
        "trace_id": _base64(trace_id.removeprefix(PREFIX)),
        "span_id": _base64(found.id),
        "parent_span_id": _base64(found.parent),
        "trace_state": found.state,
        "flags": found.flags or None,
        "name": found.name,
        "kind": found.kind or None,
        "start_time_unix_nano": found.start_ns,
        "end_time_unix_nano": found.end_ns or None,
        "attributes": _attributes(found.attributes),
        "events": [
            without_empty(
                {
                    "time_unix_nano": event.time_ns,
                    "name": event.name,
                    "attributes": _attributes(event.attributes),
                }
            )
            for event in found.events
        ],
        "links": [
            without_empty(
                {
                    "trace_id": _base64(link.trace),
                    "span_id": _base64(link.span),
                    "trace_state": link.state,
                    "attributes": _attributes(link.attributes),
                }
            )
            for link in found.links
        ],
        "status": without_empty({"message": found.message, "code": f"STATUS_CODE_{found.status}"}),
    }
    return without_empty(fields)


def whole_trace(trace: Trace, spans: Iterable[Span]) -> dict[str, Any]:
    """A trace with its spans."""
    return {"trace_info": trace_info(trace), "spans": [span(trace.id, one) for one in spans]}


def _base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def any_value(value: Any) -> dict[str, Any]:
    """An OpenTelemetry value: an object that names its type; an empty one for None."""
    if isinstance(value, Mapping):
        return {"kvlist_value": {"values": _attributes(value)}}
    if isinstance(value, list | tuple):
        return {"array_value": {"values": [any_value(one) for one in value]}}
    if isinstance(value, bytes):
        return {"bytes_value": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"double_value": _SPECIAL[repr(value)]}
    name = _NAMES.get(type(value))
    return {name: value} if name else {}


_NAMES: Final = {
    bool: "bool_value",
    int: "int_value",
    float: "double_value",
    str: "string_value",
}
_SPECIAL: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def older_trace_info(trace: Trace) -> dict[str, Any]:
    """A trace as clients before 3.0 read it."""
    pairs = {
        "request_metadata": [Pair(key, value) for key, value in trace.metadata.items()],
        "tags": [Pair(key, value) for key, value in trace.tags.items()],
    }
    fields = {
        "request_id": trace.id,
        "experiment_id": trace.experiment_id,
        "timestamp_ms": trace.start_ms,
        "execution_time_ms": trace.duration_ms,
        "status": "TRACE_STATUS_UNSPECIFIED" if trace.state == STATES[0] else trace.state,
        **pairs,
    }
    return without_empty(fields)
