"""What traces, spans and assessments may hold, checked before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from mainspring.core.errors import Invalid
from mainspring.tracking.limits import (
    MAX_EXPERIMENT_NAME,
    MAX_INT,
    MAX_TAG_VALUE,
    MIN_INT,
    bad,
    check_integer,
    check_key,
    check_name,
    check_pairs,
    check_text,
)
from mainspring.tracking.traces_types import NAME, Assessment, Event, Link, Span, Trace

MAX_ID: Final = 250
MAX_NAME: Final = 4096
MAX_DEPTH: Final = 32
MAX_ATTRIBUTES: Final = 10_000
MAX_METADATA: Final = 1000
MAX_TEXT: Final = 10_000
_ID: Final = re.compile(r"[A-Za-z0-9][\w.:/@\-]*\Z")
_NO_ID: Final = re.compile(r"0*\Z")
_HEX: Final = re.compile(r"[0-9a-f]+\Z")
_SPAN_DIGITS: Final = 16
_TRACE_DIGITS: Final = 32


def check_id(what: str, text: str) -> str:
    """The identifier of a trace or an assessment. Errors: ``tracking.bad_value``."""
    if len(text) > MAX_ID or not _ID.match(text):
        raise bad(f"{text[:80]!a}", f"is not the identifier of {what}")
    return text


def check_trace(trace: Trace) -> Trace:
    """The trace as it may be stored: long values cut. Errors: ``tracking.bad_value``."""
    check_id("a trace", trace.id)
    check_integer("request_time", trace.start_ms, least=0)
    if trace.duration_ms is not None:
        check_integer("execution_duration", trace.duration_ms, least=0)
        check_integer("The end of the trace", trace.start_ms + trace.duration_ms)
    check_text("The client request id", trace.client_id)
    return replace(
        trace,
        client_id=trace.client_id[:MAX_TEXT],
        request=_cut("The request preview", trace.request),
        response=_cut("The response preview", trace.response),
        tags=check_tags(trace.tags),
        metadata=check_metadata(trace.metadata),
        assessments=tuple(check_assessment(one) for one in trace.assessments),
    )


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of a trace; longer values are cut, as MLflow does. Errors: ``tracking.bad_value``."""
    if tags.get(NAME):
        check_name("a trace", tags[NAME], MAX_NAME)
    return dict(check_pairs("tag", tags.items(), MAX_TAG_VALUE))


def fit_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those of the tags that may be stored: what a foreign process says of itself."""
    found: dict[str, str] = {}
    for key, value in tags.items():
        try:
            found |= check_tags({key: value})
        except Invalid:
            continue
    return found


def check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata of a trace. Errors: ``tracking.bad_value``."""
    if len(metadata) > MAX_METADATA:
        raise bad("A trace's metadata", f"can have at most {MAX_METADATA} entries")
    return dict(check_pairs("metadata", metadata.items(), MAX_TAG_VALUE))


def check_span(trace_id: str, span: Span) -> Span:
    """The span, once it is fit to be stored. Errors: ``tracking.bad_value``."""
    _check_hex("trace", trace_id.removeprefix("tr-"), _TRACE_DIGITS)
    _check_hex("span", span.id, _SPAN_DIGITS)
    if span.parent:
        _check_hex("parent span", span.parent, _SPAN_DIGITS)
    check_name("a span", span.name or "-", MAX_NAME)
    for number in (span.start_ns, span.end_ns, *(event.time_ns for event in span.events)):
        check_integer("A span's time", number, least=0)
    check_text("The status of a span", span.message)
    check_text("The state of a span", span.state)
    parts: tuple[Span | Event | Link, ...] = (span, *span.events, *span.links)
    for part in parts:
        check_attributes(part.attributes)
    for event in span.events:
        check_text("The name of an event", event.name)
    for link in span.links:
        _check_hex("linked trace", link.trace, _TRACE_DIGITS)
        _check_hex("linked span", link.span, _SPAN_DIGITS)
        check_text("The state of a link", link.state)
    return span


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Attributes of a span. Errors: ``tracking.bad_value`` for NUL, and for too many or deep."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise bad("A span", f"can have at most {MAX_ATTRIBUTES} attributes")
    _check_value(attributes, MAX_DEPTH)


def _check_value(value: Any, depth: int) -> None:
    if depth == 0:
        raise bad("An attribute of a span", "is nested too deeply")
    if isinstance(value, str):
        check_text("An attribute of a span", value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            check_text("The name of an attribute", key)
            _check_value(inner, depth - 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_value(inner, depth - 1)
    elif isinstance(value, int) and not MIN_INT <= value <= MAX_INT:
        raise bad("An attribute of a span", "is out of range")


def _check_hex(what: str, text: str, digits: int) -> None:
    if len(text) != digits or not _HEX.match(text) or _NO_ID.match(text):
        raise bad(f"{text[:40]!a}", f"is not the identifier of a {what}")


def check_assessment(found: Assessment) -> Assessment:
    """The assessment as it may be stored. Errors: ``tracking.bad_value``."""
    check_id("an assessment", found.id)
    check_key(check_name("an assessment", found.name, MAX_EXPERIMENT_NAME // 2))
    check_integer("create_time", found.created_ms)
    check_integer("last_update_time", found.updated_ms)
    _check_value(found.value, MAX_DEPTH)
    for text in _texts(found):
        check_text("An assessment", text)
    return found


def _texts(found: Assessment) -> Iterable[str]:
    yield from (found.rationale, found.source_id, found.span_id, found.overrides)
    for pairs in (found.metadata, found.error):
        yield from pairs
        yield from pairs.values()


def _cut(what: str, text: str | None) -> str | None:
    return None if text is None else check_text(what, text)[:MAX_TEXT]
