"""Where a gateway's traces go."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainspring._adapters.opentelemetry.tracing import OtlpTracer


def tracer() -> OtlpTracer:
    """OpenTelemetry's exporter, set by the environment. Errors: ``serving.extra_missing``."""
    from mainspring._adapters.opentelemetry.tracing import OtlpTracer

    return OtlpTracer()
