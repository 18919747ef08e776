"""Counters and durations of the gateway, as Prometheus reads them.

Labels come from the route table only (endpoint, variant, version), so their number is bounded by
what was deployed, never by what strangers send.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final

from mainspring.serving.traffic import Variant

_Key = tuple[str, str, str]  # endpoint, variant, version
_EDGES: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


class _Counts:
    __slots__ = ("buckets", "dropped", "fallbacks", "requests", "rows", "seconds")

    def __init__(self) -> None:
        self.requests = self.rows = self.dropped = self.fallbacks = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(_EDGES) + 1)


class Metrics:
    """Written by the event loop, read by it too: no locks."""

    def __init__(self) -> None:
        self._counts: dict[_Key, _Counts] = {}
        self._statuses: dict[int, int] = {}
        self._calls: dict[str, int] = {}

    def answered_by(self, key: _Key, rows: int, seconds: float) -> None:
        """Counts rows that a variant answered within a request that took so long."""
        counts = self._of(key)
        counts.requests += 1
        counts.rows += rows
        counts.seconds += seconds
        counts.buckets[bisect_left(_EDGES, seconds)] += 1

    def answered(self, endpoint: str, variant: Variant, rows: int, seconds: float) -> None:
        """The same, by variant."""
        self.answered_by((endpoint, variant.name, variant.version), rows, seconds)

    def dropped(self, endpoint: str, variant: Variant, rows: int) -> None:
        """Counts rows that a shadow did not get, or failed on."""
        self._of((endpoint, variant.name, variant.version)).dropped += rows

    def fallback(self, endpoint: str, variant: Variant) -> None:
        """Counts a canary's request that the champion answered because the canary failed."""
        self._of((endpoint, variant.name, variant.version)).fallbacks += 1

    def status(self, status: int) -> None:
        """Counts a response by its HTTP status."""
        self._statuses[status] = self._statuses.get(status, 0) + 1

    def call(self, code: str) -> None:
        """Counts a gRPC call by its status code."""
        self._calls[code] = self._calls.get(code, 0) + 1

    def statistics(self, endpoint: str) -> Iterator[tuple[str, int, int, int]]:
        """Per version: its name, requests, rows, and nanoseconds in all."""
        for (name, _, version), counts in self._counts.items():
            if name == endpoint:
                yield version, counts.requests, counts.rows, int(counts.seconds * 1e9)

    def exposition(self, gauges: Mapping[str, float]) -> str:
        """The text format of Prometheus, version 0.0.4."""
        lines: list[str] = []
        _family(lines, "mainspring_gateway_responses_total", "counter", "HTTP responses.")
        lines += [
            f'mainspring_gateway_responses_total{{status="{status}"}} {count}'
            for status, count in sorted(self._statuses.items())
        ]
        _family(lines, "mainspring_gateway_calls_total", "counter", "gRPC calls.")
        lines += [
            f'mainspring_gateway_calls_total{{code="{code}"}} {count}'
            for code, count in sorted(self._calls.items())
        ]
        for name, help_text in _COUNTERS.items():
            _family(lines, f"mainspring_{name}_total", "counter", help_text)
            lines += [
                f"mainspring_{name}_total{{{_labels(key)}}} {getattr(counts, _FIELDS[name])}"
                for key, counts in self._counts.items()
            ]
        _family(lines, _HISTOGRAM, "histogram", "Seconds from receipt to answer.")
        for key, counts in self._counts.items():
            _histogram(lines, _labels(key), counts)
        for name, value in gauges.items():
            _family(lines, f"mainspring_{name}", "gauge", name.replace("_", " ").capitalize() + ".")
            lines.append(f"mainspring_{name} {value:g}")
        return "\n".join(lines) + "\n"

    def _of(self, key: _Key) -> _Counts:
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = _Counts()
        return counts


_HISTOGRAM: Final = "mainspring_prediction_duration_seconds"
_COUNTERS: Final = {
    "prediction_requests": "Requests that a variant answered, in whole or in part.",
    "predicted_rows": "Rows that a variant answered.",
    "dropped_rows": "Rows that a shadow did not get, or failed on.",
    "fallbacks": "Requests of a failing canary that the champion answered.",
}
_FIELDS: Final = {
    "prediction_requests": "requests",
    "predicted_rows": "rows",
    "dropped_rows": "dropped",
    "fallbacks": "fallbacks",
}


def _labels(key: _Key) -> str:
    endpoint, variant, version = (_escape(value) for value in key)
    return f'endpoint="{endpoint}",variant="{variant}",version="{version}"'


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _family(lines: list[str], name: str, kind: str, help_text: str) -> None:
    lines += (f"# HELP {name} {help_text}", f"# TYPE {name} {kind}")


def _histogram(lines: list[str], labels: str, counts: _Counts) -> None:
    total = 0
    for edge, count in zip(_EDGES, counts.buckets, strict=False):
        total += count
        lines.append(f'{_HISTOGRAM}_bucket{{{labels},le="{edge:g}"}} {total}')
    lines += (
        f'{_HISTOGRAM}_bucket{{{labels},le="+Inf"}} {counts.requests}',
        f"{_HISTOGRAM}_sum{{{labels}}} {counts.seconds:.6f}",
        f"{_HISTOGRAM}_count{{{labels}}} {counts.requests}",
    )
