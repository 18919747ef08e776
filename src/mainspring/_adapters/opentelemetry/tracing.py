"""Spans, sent by OpenTelemetry's own exporter over OTLP (HTTP).

Where they go, how many are kept (sampling) and what the service is called is set as everywhere:
``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER``, ``OTEL_SERVICE_NAME``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from mainspring.core.errors import Unavailable

_NAME: Final = "mainspring-gateway"


class OtlpTracer:
    """Makes spans and sends them in groups from a thread of its own.

    ``processor`` takes the finished spans instead, when given. Errors: ``serving.extra_missing``.
    """

    def __init__(self, processor: Any = None) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import (
                TraceContextTextMapPropagator,
            )
        except ImportError as error:
            raise Unavailable(
                "serving.extra_missing",
                "Traces need OpenTelemetry, which is not installed.",
                hint="Install it with: pip install 'mainspring[otel]', or leave traces off.",
            ) from error
        # What the environment calls the service wins over our name.
        own = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": _NAME}
        resource = Resource.create(own)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("mainspring")
        self._propagator = TraceContextTextMapPropagator()

    def start(self, name: str, headers: Mapping[str, str]) -> OtlpSpan:
        from opentelemetry.trace import SpanKind

        parent = self._propagator.extract(headers)
        return OtlpSpan(self._tracer.start_span(name, context=parent, kind=SpanKind.SERVER))

    def close(self) -> None:
        self._provider.shutdown()


class OtlpSpan:
    """A span that was started."""

    def __init__(self, span: Any) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        said = self._span.get_span_context()
        return f"00-{said.trace_id:032x}-{said.span_id:016x}-{int(said.trace_flags):02x}"

    def end(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attributes(dict(facts))
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
