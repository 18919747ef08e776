"""``POST /v1/traces``: spans by OTLP over HTTP, binary or JSON, from MLflow's client or any exporter.

Answers come in the request's encoding: nothing, a partial success that counts the spans that were
refused, or a ``google.rpc.Status``.
Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints._http.errors import error_headers, status_of
from mainspring._entrypoints.mlflow import otlp_json, otlp_protobuf
from mainspring._entrypoints.mlflow.errors import encode_error
from mainspring._entrypoints.mlflow.routing import LARGE_BODY_BYTES, RUNS_WRITE
from mainspring.core.errors import Invalid, MainspringError
from mainspring.tracking import Traces
from mainspring.tracking.traces_limits import check_span
from mainspring.tracking.traces_types import Incoming

BINARY: Final = "application/x-protobuf"
JSON: Final = "application/json"
EXPERIMENT: Final = "x-mlflow-experiment-id"
RUN: Final = "x-mlflow-run-id"
MAX_SPANS: Final = 50_000
# google.rpc.Code of an HTTP status; anything else is UNKNOWN.
_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 429: 8, 503: 14, 504: 4, 507: 8}
_UNKNOWN: Final = 2


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How requests are read and answers written."""

    kind: str
    read: Callable[[bytes], Iterator[Incoming]]
    partial: Callable[[int, str], bytes]
    status: Callable[[int, str], bytes]


_ENCODINGS: Final = {
    BINARY: _Encoding(
        BINARY, otlp_protobuf.read_request, otlp_protobuf.write_partial, otlp_protobuf.write_status
    ),
    JSON: _Encoding(JSON, otlp_json.read_request, otlp_json.write_partial, otlp_json.write_status),
}


@dataclass(frozen=True, slots=True)
class OtlpRoutes:
    """The handler of spans."""

    traces: Traces

    def routes(self) -> list[Route]:
        """One address, without a twin for pages."""
        route = Route(
            "POST",
            "/v1/traces",
            self.export,
            RUNS_WRITE,
            body_limit_bytes=LARGE_BODY_BYTES,
            content_types=(BINARY, JSON),
        )
        return [route]

    def export(self, request: Request) -> Response:
        """Stores the spans that fit; says how many did not."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = _ENCODINGS.get(kind, _ENCODINGS[BINARY])
        try:
            rejected, why = self._take(request, encoding)
        except MainspringError as error:
            return _refusal(error, encoding)
        return Response(200, [("content-type", encoding.kind)], encoding.partial(rejected, why))

    def _take(self, request: Request, encoding: _Encoding) -> tuple[int, str]:
        experiment_id = request.headers.get(EXPERIMENT, "")
        if not experiment_id:
            raise Invalid(
                "otlp.no_experiment",
                f"The header {EXPERIMENT} is missing.",
                hint="Name the experiment that the traces belong to.",
            )
        fit, errors = _sorted_out(encoding.read(request.body))
        if errors and not fit:
            raise errors[0]
        self.traces.record(experiment_id, fit, run_id=request.headers.get(RUN, ""))
        return len(errors), str(errors[0]) if errors else ""


def _sorted_out(spans: Iterable[Incoming]) -> tuple[list[Incoming], list[Invalid]]:
    """The spans that can be stored, and what is wrong with each that cannot."""
    fit: list[Incoming] = []
    errors: list[Invalid] = []
    for one in spans:
        if len(fit) + len(errors) >= MAX_SPANS:
            raise Invalid("otlp.malformed", f"A request can bring at most {MAX_SPANS} spans.")
        try:
            check_span(one.trace_id, one.span)
        except Invalid as error:
            errors.append(error)
        else:
            fit.append(one)
    return fit, errors


def _refusal(error: MainspringError, encoding: _Encoding) -> Response:
    status = encode_error(error)[0] if error.code.startswith("tracking.") else status_of(error)
    body = encoding.status(_CODES.get(status, _UNKNOWN), str(error))
    return Response(status, error_headers(error, status, encoding.kind), body)
