"""Spans in OTLP's JSON encoding: names in camel case, identifiers hexadecimal, 64 bits as text too.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from mainspring._entrypoints._http import decode_json
from mainspring._entrypoints.mlflow.otlp_protobuf import STATUSES, malformed
from mainspring.tracking.traces_limits import MAX_DEPTH
from mainspring.tracking.traces_types import PREFIX, Event, Incoming, Link, Span, SpanStatus

_CODES: Final[dict[str, SpanStatus]] = {
    f"STATUS_CODE_{name}": name for number, name in enumerate(STATUSES)
}


class _Camel(msgspec.Struct, rename="camel", omit_defaults=True):
    """A message as JSON names it."""


class _List(_Camel):
    values: list[_Value] | None = None


class _Pairs(_Camel):
    values: list[_Pair] | None = None


class _Value(_Camel):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | str | None = None
    array_value: _List | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _Pair(_Camel):
    key: str = ""
    value: _Value | None = None


class _Event(_Camel):
    time_unix_nano: int = 0
    name: str = ""
    attributes: list[_Pair] | None = None


class _Link(_Camel):
    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    attributes: list[_Pair] | None = None


class _Status(_Camel):
    message: str | None = None
    code: int | str | None = None


class _Span(_Camel):
    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    parent_span_id: str | None = None
    flags: int = 0
    name: str = ""
    kind: int | str | None = None
    start_time_unix_nano: int = 0
    end_time_unix_nano: int = 0
    attributes: list[_Pair] | None = None
    events: list[_Event] | None = None
    links: list[_Link] | None = None
    status: _Status | None = None


class _Scope(_Camel):
    spans: list[_Span] | None = None


class _Resource(_Camel):
    attributes: list[_Pair] | None = None


class _ResourceSpans(_Camel):
    resource: _Resource | None = None
    scope_spans: list[_Scope] | None = None


class _Request(_Camel):
    resource_spans: list[_ResourceSpans] | None = None


_decoder = msgspec.json.Decoder(_Request, strict=False)
_encode = msgspec.json.Encoder().encode


def read_request(body: bytes) -> Iterator[Incoming]:
    """The spans of a request. Errors: ``http.bad_json``, ``otlp.malformed``."""
    for group in decode_json(_decoder, body or b"{}").resource_spans or ():
        resource = _attributes(group.resource.attributes if group.resource else None)
        for scope in group.scope_spans or ():
            for span in scope.spans or ():
                yield Incoming(f"{PREFIX}{span.trace_id.lower()}", _span(span), resource)


def write_partial(rejected: int, message: str) -> bytes:
    """The answer; empty when every span was taken."""
    if not rejected:
        return b"{}"
    partial = {"rejectedSpans": str(rejected), "errorMessage": message}
    return _encode({"partialSuccess": partial})


def write_status(code: int, message: str) -> bytes:
    """A ``google.rpc.Status``."""
    return _encode({"code": code, "message": message})


def _span(found: _Span) -> Span:
    status = found.status or _Status()
    return Span(
        id=found.span_id.lower(),
        name=found.name,
        start_ns=found.start_time_unix_nano,
        end_ns=found.end_time_unix_nano,
        parent=(found.parent_span_id or "").lower(),
        status=_status(status.code),
        message=status.message or "",
        kind=found.kind & 0xFF if isinstance(found.kind, int) else 0,
        flags=found.flags & 0xFFFFFFFF,
        state=found.trace_state,
        attributes=_attributes(found.attributes),
        events=tuple(
            Event(name=e.name, time_ns=e.time_unix_nano, attributes=_attributes(e.attributes))
            for e in found.events or ()
        ),
        links=tuple(
            Link(
                trace=link.trace_id.lower(),
                span=link.span_id.lower(),
                state=link.trace_state,
                attributes=_attributes(link.attributes),
            )
            for link in found.links or ()
        ),
    )


def _status(code: int | str | None) -> SpanStatus:
    if isinstance(code, str):
        return _CODES.get(code, "UNSET")
    return STATUSES[code] if code is not None and 0 <= code < len(STATUSES) else "UNSET"


def _attributes(pairs: list[_Pair] | None, depth: int = 0) -> dict[str, Any]:
    return {pair.key: _value(pair.value, depth) for pair in pairs or ()}


def _value(found: _Value | None, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise malformed("a value is nested too deeply")
    if found is None:
        return None
    if found.array_value is not None:
        return [_value(one, depth + 1) for one in found.array_value.values or ()]
    if found.kvlist_value is not None:
        return _attributes(found.kvlist_value.values, depth + 1)
    if found.bytes_value is not None:
        return _bytes(found.bytes_value)
    if found.double_value is not None:
        return _double(found.double_value)
    plain = (found.string_value, found.bool_value, found.int_value)
    return next((value for value in plain if value is not None), None)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise malformed("bytes are not Base64") from error


def _double(value: float | str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise malformed(f"{str(value)[:40]!r} is not a number") from error
