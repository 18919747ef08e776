"""Traces, their spans and the judgements on them, as values.

A trace is what one request did: a tree of spans. Its identifier is ``tr-`` and the 32 hexadecimal
digits of the OpenTelemetry trace.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec

TraceState = Literal["STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS"]
SpanStatus = Literal["UNSET", "OK", "ERROR"]
Judgement = Literal["feedback", "expectation", "issue"]

STATES: Final[tuple[TraceState, ...]] = get_args(TraceState)
PREFIX: Final = "tr-"
NAME: Final = "mlflow.traceName"
RUN: Final = "mlflow.sourceRun"
SESSION: Final = "mlflow.trace.session"
USER: Final = "mlflow.trace.user"
USAGE: Final = "mlflow.trace.tokenUsage"
COST: Final = "mlflow.trace.cost"
SIZES: Final = "mlflow.trace.sizeStats"
ARTIFACTS: Final = "mlflow.artifactLocation"
PLACE: Final = "mlflow.trace.spansLocation"
HERE: Final = "TRACKING_STORE"
SPAN_TYPE: Final = "mlflow.spanType"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A moment in a span. Units: nanoseconds since 1970."""

    name: str
    time_ns: int
    attributes: dict[str, Any] = {}


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A pointer from a span to a span of another trace; both identifiers hexadecimal."""

    trace: str
    span: str
    state: str = ""
    attributes: dict[str, Any] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work in a trace. Units: nanoseconds since 1970; an open span ends at 0.

    Attributes hold text, numbers, booleans, bytes, None, and lists and dictionaries of these.
    """

    id: str
    name: str
    start_ns: int
    end_ns: int = 0
    parent: str = ""
    status: SpanStatus = "UNSET"
    message: str = ""
    kind: int = 0
    flags: int = 0
    state: str = ""
    attributes: dict[str, Any] = {}
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def type(self) -> str:
        """What kind of work it was, in MLflow's words; empty when nobody said."""
        found = self.attributes.get(SPAN_TYPE)
        return found if isinstance(found, str) else ""


class Incoming(msgspec.Struct, frozen=True):
    """A span as it arrived: of which trace, and from which process."""

    trace_id: str
    span: Span
    resource: dict[str, Any] = {}


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody or something says of a trace, or of one of its spans.

    ``value`` is any JSON. One that another ``overrides`` is no longer valid.
    """

    id: str
    name: str
    kind: Judgement
    value: Any = None
    source_type: str = "SOURCE_TYPE_UNSPECIFIED"
    source_id: str = ""
    created_ms: int
    updated_ms: int
    span_id: str = ""
    rationale: str = ""
    error: dict[str, str] = {}
    metadata: dict[str, str] = {}
    overrides: str = ""
    valid: bool = True


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace without its spans. ``finished`` once its client told all of it."""

    id: str
    experiment_id: str
    start_ms: int
    duration_ms: int | None = None
    state: TraceState = "STATE_UNSPECIFIED"
    client_id: str = ""
    request: str | None = None
    response: str | None = None
    finished: bool = False
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    assessments: tuple[Assessment, ...] = ()
