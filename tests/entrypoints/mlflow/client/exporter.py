# ruff: noqa: T201
"""Spans by OpenTelemetry's own exporter over HTTP: python exporter.py URI."""

from __future__ import annotations

import sys

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, Status, StatusCode

for compression in (Compression.NoCompression, Compression.Gzip):
    name = "gzip" if compression is Compression.Gzip else "none"
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span(name) as outer:
        links = [Link(outer.get_span_context(), {"why": "next"})]
        with tracer.start_as_current_span("inner", links=links) as inner:
            inner.set_attributes({"list": [1, 2], "ratio": 0.5, "text": "größe", "flag": True})
            inner.add_event("seen", {"n": 1})
        outer.set_status(Status(StatusCode.ERROR, "went wrong"))
    exporter = OTLPSpanExporter(
        endpoint=f"{sys.argv[1]}/v1/traces",
        headers={"x-mlflow-experiment-id": "0"},
        compression=compression,
    )
    assert exporter.export(memory.get_finished_spans()) is SpanExportResult.SUCCESS
    provider.shutdown()
print("ok exporter")
