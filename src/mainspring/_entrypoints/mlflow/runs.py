"""Runs on the MLflow wire: begin, end, find; logging is in :mod:`.logging`."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, get_args

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints._http.futures import then
from mainspring._entrypoints.mlflow.reading import (
    Pair,
    body,
    either,
    experiment_number,
    need,
    pairs,
    query,
    view_of,
)
from mainspring._entrypoints.mlflow.routing import RUNS_READ, RUNS_WRITE, both
from mainspring._entrypoints.mlflow.writing import answer, empty, run_info, whole_run
from mainspring.core.errors import Invalid
from mainspring.tracking import Runs
from mainspring.tracking.types import STATUSES, Status

DEFAULT_RUNS: Final = 1000
_NUMBERED: Final[dict[str, Status]] = dict(
    zip(("1", "2", "3", "4", "5"), get_args(Status), strict=True)
)


class _Create(msgspec.Struct):
    experiment_id: str | int | None = None
    user_id: str | None = None
    run_name: str | None = None
    start_time: int | None = None
    tags: list[Pair] | None = None


class One(msgspec.Struct):
    """A run, by either of the names of its identifier."""

    run_id: str | None = None
    run_uuid: str | None = None

    @property
    def id(self) -> str:
        return need(self.run_id or self.run_uuid, "run_id")


class _Update(One):
    status: str | int | None = None
    end_time: int | None = None
    run_name: str | None = None


class _Search(msgspec.Struct):
    experiment_ids: list[str] | None = None
    filter: str | None = None
    run_view_type: str | int | None = None
    max_results: int | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class _DeleteTag(One):
    key: str | None = None


@dataclass(frozen=True, slots=True)
class RunRoutes:
    """The handlers of ``runs/...`` that do not log."""

    runs: Runs

    def routes(self) -> list[Route]:
        base = "/2.0/mlflow/runs"
        return [
            *both("POST", f"{base}/create", self.create, RUNS_WRITE, inline=True),
            *both("GET", f"{base}/get", self.get, RUNS_READ),
            *both("POST", f"{base}/update", self.update, RUNS_WRITE, inline=True),
            *both("POST", f"{base}/delete", self.delete, RUNS_WRITE),
            *both("POST", f"{base}/restore", self.restore, RUNS_WRITE),
            *both("POST", f"{base}/delete-tag", self.delete_tag, RUNS_WRITE),
            *both("POST", f"{base}/search", self.search, RUNS_READ),
        ]

    def create(self, request: Request) -> Future[Response]:
        asked = body(request, _Create)
        future = self.runs.begin(
            experiment_number(asked.experiment_id),
            name=asked.run_name or "",
            user=asked.user_id or "",
            start_ms=asked.start_time,
            tags=dict(pairs(asked.tags)),
            actor=request.actor,
        )
        return then(future, lambda run: answer({"run": whole_run(run)}))

    def get(self, request: Request) -> Response:
        return answer({"run": whole_run(self.runs.get(query(request, One).id))})

    def update(self, request: Request) -> Future[Response]:
        asked = body(request, _Update)
        future = self.runs.update(
            asked.id,
            status=_status(asked.status),
            end_ms=asked.end_time,
            name=asked.run_name,
            actor=request.actor,
        )
        return then(future, lambda run: answer({"run_info": run_info(run)}))

    def delete(self, request: Request) -> Response:
        self.runs.delete(body(request, One).id, actor=request.actor)
        return empty()

    def restore(self, request: Request) -> Response:
        self.runs.restore(body(request, One).id, actor=request.actor)
        return empty()

    def delete_tag(self, request: Request) -> Response:
        asked = body(request, _DeleteTag)
        self.runs.untag(asked.id, need(asked.key, "key"))
        return empty()

    def search(self, request: Request) -> Response:
        asked = either(request, _Search)
        page = self.runs.search(
            [experiment_number(one) for one in asked.experiment_ids or ()],
            asked.filter or "",
            order_by=asked.order_by or (),
            view=view_of(asked.run_view_type),
            limit=DEFAULT_RUNS if asked.max_results is None else asked.max_results,
            token=asked.page_token,
        )
        found = {"runs": [whole_run(run) for run in page.items]} if page.items else {}
        more = {"next_page_token": page.next_token} if page.next_token else {}
        return answer({**found, **more})


def _status(text: str | int | None) -> Status | None:
    if text is None:
        return None
    for status in STATUSES:
        if text == status:
            return status
    found = _NUMBERED.get(str(text))
    if found is None:
        raise Invalid(
            "http.bad_status",
            f"Invalid value {str(text)[:40]!r} for parameter 'status' supplied.",
            hint=f"It is one of {', '.join(STATUSES)}.",
        )
    return found
