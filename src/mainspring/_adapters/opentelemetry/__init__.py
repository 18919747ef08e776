"""OpenTelemetry: traces over OTLP."""
