"""A gateway's counts as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mainspring._entrypoints._http.exposition import Exposition
from mainspring._entrypoints.inference.lanes import BATCH_SIZES
from mainspring._entrypoints.inference.metrics import EDGES, Counts, Snapshot
from mainspring.serving.traffic import RouteTable

_COUNTERS: Final = (
    ("prediction_requests", "requests", "Requests that a variant answered, in whole or in part."),
    ("predicted_rows", "rows", "Rows that a variant answered."),
    ("dropped_rows", "dropped", "Rows that a shadow did not get, or failed on."),
    ("fallbacks", "fallbacks", "Requests of a failing canary that the champion answered."),
)
_HELP: Final = {
    "gateway_ready": "1 once every process loaded its routes and is not about to stop.",
    "gateway_routes_revision": "Revision of the routes; of several processes the least.",
    "gateway_processes": "Processes behind the port.",
    "gateway_requests_under_way": "Requests and calls that are being answered.",
    "gateway_waiting_rows": "Rows that wait for a model.",
    "gateway_access_log_lost_lines_total": "Lines that the access log lost.",
    "records_stored_rows_total": "Prediction records stored since the start.",
    "records_lost_rows_total": "Prediction records that could not be stored.",
}
_SIZES: Final = tuple(2**power for power in range(BATCH_SIZES))


def exposition(counted: Snapshot, table: RouteTable) -> str:
    """The text format of Prometheus, version 0.0.4."""
    out = Exposition()
    out.family("gateway_responses_total", "counter", "HTTP responses.")
    for status, count in sorted(counted.statuses.items()):
        out.sample("gateway_responses_total", [("status", status)], count)
    out.family("gateway_calls_total", "counter", "gRPC calls.")
    for code, count in sorted(counted.calls.items()):
        out.sample("gateway_calls_total", [("code", code)], count)
    out.family("prediction_errors_total", "counter", "Questions that failed, by kind of error.")
    for endpoint, kinds in counted.errors.items():
        for kind, count in sorted(kinds.items()):
            out.sample("prediction_errors_total", [("endpoint", endpoint), ("kind", kind)], count)
    _variants(out, counted.counts)
    _lanes(out, counted)
    out.family("variant_info", "gauge", "What is routed: a variant, its role and its model.")
    for endpoint, route in table.routes.items():
        for v in route.variants:
            labels = [("endpoint", endpoint), ("variant", v.name), ("version", v.version)]
            out.sample("variant_info", [*labels, ("role", v.role), ("model", short(v.model))], 1)
    for name, value in {**counted.leasts, **counted.sums}.items():
        out.family(name, "counter" if name.endswith("_total") else "gauge", _HELP[name])
        out.sample(name, [], value)
    return out.text()


def short(digest: str) -> str:
    """A model's digest as a label: long enough to tell models apart, short enough to read."""
    return digest.removeprefix("sha256:")[:12]


def _variants(out: Exposition, counts: Sequence[Counts]) -> None:
    labelled = [
        (one, [("endpoint", one.endpoint), ("variant", one.variant), ("version", one.version)])
        for one in counts
    ]
    for name, attribute, help_text in _COUNTERS:
        out.family(f"{name}_total", "counter", help_text)
        for one, labels in labelled:
            out.sample(f"{name}_total", labels, getattr(one, attribute))
    out.family("prediction_duration_seconds", "histogram", "Seconds from receipt to answer.")
    for one, labels in labelled:
        out.histogram("prediction_duration_seconds", labels, zip(EDGES, one.buckets, strict=False))
        out.ends("prediction_duration_seconds", labels, one.requests, one.seconds)


def _lanes(out: Exposition, counted: Snapshot) -> None:
    out.family("batch_rows", "histogram", "Rows per batch that a model was run on.")
    for lane in counted.lanes:
        labels = [("model", lane.model), ("lane", lane.role)]
        out.histogram("batch_rows", labels, zip(_SIZES, lane.sizes, strict=False))
        out.ends("batch_rows", labels, sum(lane.sizes), lane.rows)
    out.family("waiting_rows", "gauge", "Rows that wait for a model.")
    for lane in counted.lanes:
        out.sample("waiting_rows", [("model", lane.model), ("lane", lane.role)], lane.waiting_rows)
