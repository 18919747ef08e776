"""Traces on the MLflow wire, version 3: told, read, searched, tagged, tied, removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.mlflow.reading import body, either, missing, need, query
from mainspring._entrypoints.mlflow.routing import LARGE_BODY_BYTES, RUNS_READ, RUNS_WRITE, both
from mainspring._entrypoints.mlflow.traces_reading import Location, TraceIn, experiment_of, trace_of
from mainspring._entrypoints.mlflow.traces_writing import trace_info, whole_trace
from mainspring._entrypoints.mlflow.writing import answer, empty
from mainspring.core.errors import NotFound
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.tracking import Tracking

DEFAULT_RESULTS: Final = 100


class _Told(msgspec.Struct):
    trace_info: TraceIn | None = None


class _Start(msgspec.Struct):
    trace: _Told | None = None


class _One(msgspec.Struct):
    trace_id: str | None = None
    allow_partial: bool | None = None


class _Some(msgspec.Struct):
    trace_ids: list[str] | None = None
    experiment_ids: list[str] | None = None


class _Search(msgspec.Struct):
    locations: list[Location] | None = None
    filter: str | None = None
    max_results: int | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class _Delete(msgspec.Struct):
    experiment_id: str | int | None = None
    max_timestamp_millis: int | None = None
    max_traces: int | None = None
    request_ids: list[str] | None = None


class _Tag(msgspec.Struct):
    key: str | None = None
    value: str | None = None


class _Link(msgspec.Struct):
    trace_ids: list[str] | None = None
    run_id: str | None = None


class _Prompt(msgspec.Struct):
    name: str = ""
    version: str | int = ""


class _Prompts(msgspec.Struct):
    trace_id: str | None = None
    prompt_versions: list[_Prompt] | None = None


@dataclass(frozen=True, slots=True)
class TraceRoutes:
    """The handlers of ``traces/...`` below ``/api/3.0``, and of those that stayed below 2.0."""

    tracking: Tracking
    clock: Clock

    def routes(self) -> list[Route]:
        three, two = "/3.0/mlflow/traces", "/2.0/mlflow/traces"
        large = {"body_limit_bytes": LARGE_BODY_BYTES}
        found = [
            *both("POST", three, self.start, RUNS_WRITE, **large),
            *both("GET", f"{three}/get", self.get_whole, RUNS_READ),
            *both("GET", f"{three}/batchGet", self.get_some, RUNS_READ),
            *both("POST", f"{three}/batchGetInfos", self.get_infos, RUNS_READ),
            *both("POST", f"{three}/search", self.search, RUNS_READ),
            *both("GET", f"{three}/{{trace_id}}", self.get, RUNS_READ),
            *both("POST", f"{two}/link-to-run", self.link, RUNS_WRITE),
            *both("POST", f"{two}/link-prompts", self.link_prompts, RUNS_WRITE),
        ]
        for base in (two, three):
            found += both("POST", f"{base}/delete-traces", self.delete, RUNS_WRITE, **large)
            found += both("PATCH", f"{base}/{{trace_id}}/tags", self.set_tag, RUNS_WRITE)
            found += both("DELETE", f"{base}/{{trace_id}}/tags", self.delete_tag, RUNS_WRITE)
        return found

    def start(self, request: Request) -> Response:
        asked = body(request, _Start)
        if asked.trace is None or asked.trace.trace_info is None:
            raise missing("trace.trace_info")
        now_ms = to_micros(self.clock.now()) // 1000
        made = self.tracking.traces.start(trace_of(asked.trace.trace_info, now_ms))
        return answer({"trace": {"trace_info": trace_info(made)}})

    def get(self, request: Request) -> Response:
        found = self.tracking.traces.get(request.params["trace_id"])
        return answer({"trace": {"trace_info": trace_info(found)}})

    def get_whole(self, request: Request) -> Response:
        asked = query(request, _One)
        trace_id = need(asked.trace_id, "trace_id")
        found = self.tracking.traces.whole(trace_id, partial=bool(asked.allow_partial))
        return answer({"trace": whole_trace(*found)})

    def get_some(self, request: Request) -> Response:
        asked = query(request, _Some)
        traces: list[dict[str, Any]] = []
        for trace_id in asked.trace_ids or ():
            try:
                trace, spans = self.tracking.traces.whole(trace_id)
            except NotFound:
                continue  # those that are not there are left out
            if asked.experiment_ids is None or trace.experiment_id in asked.experiment_ids:
                traces.append(whole_trace(trace, spans))
        return answer({"traces": traces} if traces else {})

    def get_infos(self, request: Request) -> Response:
        asked = body(request, _Some)
        found = [
            trace_info(trace)
            for trace in self.tracking.traces.find(asked.trace_ids or ())
            if asked.experiment_ids is None or trace.experiment_id in asked.experiment_ids
        ]
        return answer({"trace_infos": found} if found else {})

    def search(self, request: Request) -> Response:
        asked = body(request, _Search)
        page = self.tracking.traces.search(
            [experiment_of(location) for location in asked.locations or ()],
            asked.filter or "",
            order_by=tuple(asked.order_by or ()),
            limit=DEFAULT_RESULTS if asked.max_results is None else asked.max_results,
            token=asked.page_token,
        )
        found = {"traces": [trace_info(trace) for trace in page.items]} if page.items else {}
        return answer(
            {**found, **({"next_page_token": page.next_token} if page.next_token else {})}
        )

    def delete(self, request: Request) -> Response:
        asked = body(request, _Delete)
        experiment_id = None if asked.experiment_id is None else str(asked.experiment_id)
        gone = self.tracking.traces.delete(
            need(experiment_id, "experiment_id"),
            until_ms=asked.max_timestamp_millis,
            limit=asked.max_traces,
            ids=asked.request_ids or (),
            actor=request.actor,
        )
        return answer({"traces_deleted": gone})

    def set_tag(self, request: Request) -> Response:
        asked = body(request, _Tag)
        tags = {need(asked.key, "key"): asked.value or ""}
        self.tracking.traces.tag(request.params["trace_id"], tags)
        return empty()

    def delete_tag(self, request: Request) -> Response:
        key = need(either(request, _Tag).key, "key")
        self.tracking.traces.untag(request.params["trace_id"], key)
        return empty()

    def link(self, request: Request) -> Response:
        asked = body(request, _Link)
        self.tracking.traces.link(asked.trace_ids or (), need(asked.run_id, "run_id"))
        return empty()

    def link_prompts(self, request: Request) -> Response:
        asked = body(request, _Prompts)
        prompts = [f"{one.name}/{one.version}" for one in asked.prompt_versions or ()]
        self.tracking.traces.link_prompts(need(asked.trace_id, "trace_id"), prompts)
        return empty()
