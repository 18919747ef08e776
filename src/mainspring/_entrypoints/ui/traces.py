"""Traces for a reader: those of an experiment as a table, and one as a waterfall of its spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints._http.errors import status_of
from mainspring._entrypoints.ui.literal import prose
from mainspring._entrypoints.ui.rendering import READ_RUNS, one, page
from mainspring._entrypoints.ui.waterfall import MAX_SPANS, rows
from mainspring.core.errors import Invalid, MainspringError
from mainspring.core.pages import Page
from mainspring.tracking import Experiment, Tracking
from mainspring.tracking.traces_types import RUN, SESSION, SIZES, Span, Trace
from mainspring.tracking.traces_values import as_text
from mainspring.tracking.types import DEFAULT_EXPERIMENT

ROWS: Final = 50
MAX_TEXT: Final = 20_000
_EXPERIMENTS: Final = 500
_LOOKED_AT: Final = 20
_INPUTS: Final = "mlflow.spanInputs"
_OUTPUTS: Final = "mlflow.spanOutputs"
# What stands elsewhere on the page, or is the client's own accounting.
_TOLD: Final = (
    RUN,
    SESSION,
    SIZES,
    "mlflow.trace.sizeBytes",
    "mlflow.trace_schema.version",
    "mlflow.traceInputs",
    "mlflow.traceOutputs",
)
_OWN: Final = (_INPUTS, _OUTPUTS, "mlflow.spanType", "mlflow.traceRequestId")


def readable(value: Any) -> str:
    """A span's value as text over several lines, cut where a page ends."""
    text = as_text(value)
    if not isinstance(value, str) and isinstance(value, dict | list):
        text = msgspec.json.format(text.encode(), indent=2).decode()
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


@dataclass(frozen=True, slots=True)
class TracePages:
    """The handlers of traces."""

    tracking: Tracking

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/traces", self.table, READ_RUNS),
            Route("GET", "/traces/{trace_id}", self.trace, READ_RUNS),
        ]

    def table(self, request: Request) -> Response:
        error: MainspringError | None = None
        found: Page[Trace] = Page(())
        asked, after = one(request, "filter").strip(), one(request, "after")
        experiments, chosen = self._experiments(one(request, "experiment"))
        try:
            found = self.tracking.traces.search([chosen.id], asked, limit=ROWS, token=after or None)
        except Invalid as fault:
            error = fault
        return page(
            "traces.html",
            status=status_of(error) if error else 200,
            area="traces",
            experiments=experiments,
            chosen=chosen,
            filter=asked,
            after=after,
            traces=found.items,
            more=found.next_token,
            error=error,
        )

    def trace(self, request: Request) -> Response:
        trace, spans = self.tracking.traces.whole(request.params["trace_id"], partial=True)
        tree = rows(spans)
        wanted = one(request, "span")
        chosen = next((row.span for row in tree if row.span.id == wanted), None)
        if chosen is None and tree:
            failed = (row.span for row in tree if row.span.status == "ERROR" and row.span.message)
            chosen = next(failed, tree[0].span)
        return page(
            "trace.html",
            area="traces",
            trace=trace,
            experiment=self.tracking.experiments.get(trace.experiment_id),
            run_id=trace.metadata.get(RUN, ""),
            session=trace.metadata.get(SESSION, ""),
            rows=tree[:MAX_SPANS],
            span_count=len(tree),
            chosen=chosen,
            detail=_detail(chosen) if chosen else {},
            tags=sorted((k, v) for k, v in trace.tags.items() if not k.startswith("mlflow.")),
            metadata=sorted((k, v) for k, v in trace.metadata.items() if v and k not in _TOLD),
        )

    def _experiments(self, wanted: str) -> tuple[list[Experiment], Experiment]:
        """The experiments to choose from, newest first, and the chosen one."""
        found = list(self.tracking.experiments.search(limit=_EXPERIMENTS).items)
        chosen = self.tracking.experiments.get(wanted or self._busiest(found[:_LOOKED_AT]))
        if chosen not in found:
            found.insert(0, chosen)
        return found, chosen

    def _busiest(self, experiments: Sequence[Experiment]) -> str:
        """The experiment with the newest trace among a few, so that a first look finds one."""
        newest = self.tracking.traces.search([one.id for one in experiments], limit=1).items
        return newest[0].experiment_id if newest else DEFAULT_EXPERIMENT


def _detail(span: Span) -> dict[str, Any]:
    """What a span took in and gave, and the rest that it says."""
    told = span.attributes
    return {
        "inputs": readable(told[_INPUTS]) if _INPUTS in told else "",
        "outputs": readable(told[_OUTPUTS]) if _OUTPUTS in told else "",
        "attributes": [(k, prose(readable(v))) for k, v in sorted(told.items()) if k not in _OWN],
        "events": [
            (event, [(k, prose(readable(v))) for k, v in sorted(event.attributes.items())])
            for event in span.events
        ],
    }
