"""Traces on the MLflow wire as clients before 3.0 send them: begun, ended, read, searched."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.mlflow.reading import Pair, body, missing, need, pairs, query
from mainspring._entrypoints.mlflow.routing import RUNS_READ, RUNS_WRITE, both
from mainspring._entrypoints.mlflow.traces import DEFAULT_RESULTS
from mainspring._entrypoints.mlflow.traces_reading import state_of
from mainspring._entrypoints.mlflow.traces_writing import older_trace_info
from mainspring._entrypoints.mlflow.writing import answer
from mainspring.core.ids import new_id
from mainspring.tracking import Tracking
from mainspring.tracking.traces_types import PREFIX, Trace


class _Begin(msgspec.Struct):
    experiment_id: str | int | None = None
    timestamp_ms: int | None = None
    request_metadata: list[Pair] | None = None
    tags: list[Pair] | None = None


class _End(msgspec.Struct):
    timestamp_ms: int | None = None
    status: str | int | None = None
    request_metadata: list[Pair] | None = None
    tags: list[Pair] | None = None


class _Search(msgspec.Struct):
    experiment_ids: list[str] | None = None
    filter: str | None = None
    max_results: int | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


@dataclass(frozen=True, slots=True)
class OlderTraceRoutes:
    """The handlers of ``traces`` below ``/api/2.0``."""

    tracking: Tracking

    def routes(self) -> list[Route]:
        base = "/2.0/mlflow/traces"
        return [
            *both("POST", base, self.begin, RUNS_WRITE),
            *both("GET", base, self.search, RUNS_READ),
            *both("PATCH", f"{base}/{{trace_id}}", self.end, RUNS_WRITE),
            *both("GET", f"{base}/{{trace_id}}/info", self.info, RUNS_READ),
        ]

    def begin(self, request: Request) -> Response:
        asked = body(request, _Begin)
        experiment_id = None if asked.experiment_id is None else str(asked.experiment_id)
        if asked.timestamp_ms is None:
            raise missing("timestamp_ms")
        made = Trace(
            id=f"{PREFIX}{new_id()}",
            experiment_id=need(experiment_id, "experiment_id"),
            start_ms=asked.timestamp_ms,
            state="IN_PROGRESS",
            metadata=dict(pairs(asked.request_metadata)),
            tags=dict(pairs(asked.tags)),
        )
        return answer({"trace_info": older_trace_info(self.tracking.traces.start(made))})

    def end(self, request: Request) -> Response:
        asked = body(request, _End)
        before = self.tracking.traces.get(request.params["trace_id"])
        if asked.timestamp_ms is None:
            raise missing("timestamp_ms")
        status = "STATE_UNSPECIFIED" if asked.status == "TRACE_STATUS_UNSPECIFIED" else asked.status
        told = replace(
            before,
            duration_ms=asked.timestamp_ms - before.start_ms,
            state=state_of(status),
            finished=True,
            metadata=dict(pairs(asked.request_metadata)),
            tags=dict(pairs(asked.tags)),
            assessments=(),
        )
        return answer({"trace_info": older_trace_info(self.tracking.traces.start(told))})

    def info(self, request: Request) -> Response:
        found = self.tracking.traces.get(request.params["trace_id"])
        return answer({"trace_info": older_trace_info(found)})

    def search(self, request: Request) -> Response:
        asked = query(request, _Search)
        page = self.tracking.traces.search(
            asked.experiment_ids or (),
            asked.filter or "",
            order_by=tuple(asked.order_by or ()),
            limit=DEFAULT_RESULTS if asked.max_results is None else asked.max_results,
            token=asked.page_token,
        )
        found = {"traces": [older_trace_info(trace) for trace in page.items]} if page.items else {}
        return answer(
            {**found, **({"next_page_token": page.next_token} if page.next_token else {})}
        )
