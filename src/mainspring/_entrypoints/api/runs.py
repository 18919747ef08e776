"""Runs and their metrics over REST."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import msgspec

from mainspring._entrypoints._http import Request, Response
from mainspring._entrypoints._http.futures import then
from mainspring._entrypoints._http.routing import Permission
from mainspring._entrypoints.api.operations import (
    CREATED,
    Operation,
    body,
    listing,
    pairs,
    query,
    reply,
)
from mainspring._entrypoints.api.points import Points, columns
from mainspring.core.ids import RunId
from mainspring.tracking import Batch, Point, Run, Tracking
from mainspring.tracking.charts import MAX_STEPS
from mainspring.tracking.columns import MEDIA_TYPE, pack
from mainspring.tracking.runs import MAX_POINTS
from mainspring.tracking.types import DatasetInput, ModelLink, Status, View

READ: Permission = ("runs", "read")
WRITE: Permission = ("runs", "write")
MOST_POINTS: Final = 50_000
_BATCH_BYTES: Final = 16 << 20
_NAN: Final = float("nan")


class NewRun(msgspec.Struct, forbid_unknown_fields=True):
    """A run to begin. With a ``run_id`` of one's own the call may be repeated."""

    experiment_id: str = "0"
    name: str = ""
    user: str = ""
    start_ms: int | None = None
    tags: dict[str, str] = {}
    run_id: str | None = None


class RunChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    status: Status | None = None
    end_ms: int | None = None
    name: str | None = None


class NewPoint(msgspec.Struct, forbid_unknown_fields=True):
    """A value of a metric; null is NaN, without a time it is now."""

    key: str
    value: float | None
    step: int = 0
    time_ms: int | None = None


class NewBatch(msgspec.Struct, forbid_unknown_fields=True):
    """What to log: all of it is stored, or nothing."""

    points: list[NewPoint] = []
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


class Records(msgspec.Struct, forbid_unknown_fields=True):
    """What to log, in its compact form: points are ``[key, value, step, time_ms]``."""

    points: list[tuple[str, float, int, int]] = []
    params: list[tuple[str, str]] = []
    tags: list[tuple[str, str]] = []


class Inputs(msgspec.Struct, forbid_unknown_fields=True):
    """What a run read and made."""

    datasets: list[DatasetInput] = []
    models: list[ModelLink] = []


class Alive(msgspec.Struct, forbid_unknown_fields=True):
    """Runs whose process gives a sign of life."""

    run_ids: list[str]


class RunQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which runs: of these experiments (all, when none is named), by filter and order."""

    experiment: tuple[str, ...] = ()
    filter: str = ""
    order_by: tuple[str, ...] = ()
    view: View = "active"
    limit: int = 100
    token: str | None = None


class HistoryQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of a history."""

    limit: int = MAX_POINTS
    token: str | None = None


class SeriesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which metric of which runs, and how many of its steps at most."""

    run: tuple[str, ...] = ()
    metric: str = ""
    most: int = MAX_STEPS


@dataclass(frozen=True, slots=True)
class RunOperations:
    """The operations on runs."""

    tracking: Tracking

    def operations(self) -> list[Operation]:
        return [*self._of_runs(), *self._of_what_they_log()]

    def _of_runs(self) -> list[Operation]:
        one = "/runs/{run_id}"
        return [
            Operation(
                method="GET", path="/runs", handler=self.search, permission=READ,
                summary="Runs that match, newest first unless ordered.",
                gives=Run, asks=RunQuery, lists=True,
            ),
            Operation(
                method="POST", path="/runs", handler=self.create, permission=WRITE,
                summary="A new run.", gives=Run, takes=NewRun, status=CREATED,
            ),
            Operation(
                method="GET", path=one, handler=self.get, permission=READ,
                summary="One run, with the latest value of each metric.", gives=Run,
            ),
            Operation(
                method="PATCH", path=one, handler=self.change, permission=WRITE,
                summary="The run with another status, end or name.", gives=Run, takes=RunChange,
            ),
            Operation(
                method="DELETE", path=one, handler=self.delete, permission=WRITE,
                summary="Takes a run out of sight.",
            ),
            Operation(
                method="POST", path=f"{one}/restore", handler=self.restore, permission=WRITE,
                summary="Brings a deleted run back.",
            ),
        ]  # fmt: skip

    def _of_what_they_log(self) -> list[Operation]:
        one = "/runs/{run_id}"
        return [
            Operation(
                method="POST", path=f"{one}/batches", handler=self.log, permission=WRITE,
                summary="Logs metrics, parameters and tags; durable when answered.",
                takes=NewBatch, body_limit_bytes=_BATCH_BYTES,
            ),
            Operation(
                method="POST", path=f"{one}/records", handler=self.log_records, permission=WRITE,
                summary="Logs like batches, in the compact form of the SDK.",
                takes=Records, body_limit_bytes=_BATCH_BYTES,
            ),
            Operation(
                method="POST", path=f"{one}/inputs", handler=self.link, permission=WRITE,
                summary="Ties datasets and logged models to a run.", takes=Inputs,
            ),
            Operation(
                method="DELETE", path=f"{one}/tags/{{key*}}", handler=self.untag,
                permission=WRITE, summary="Removes a tag.",
            ),
            Operation(
                method="POST", path="/signs-of-life", handler=self.alive, permission=WRITE,
                summary="Says that runs go on; one that falls silent is taken for lost.",
                takes=Alive,
            ),
            Operation(
                method="GET", path="/series", handler=self.series, permission=READ,
                summary="A metric of several runs, thinned to the same steps.",
                asks=SeriesQuery, gives=dict[str, list[tuple[str, float, int, int]]],
            ),
            Operation(
                method="GET", path=f"{one}/metrics/{{key*}}", handler=self.history,
                permission=READ, asks=HistoryQuery, gives=Points, binary=MEDIA_TYPE,
                summary="A metric's points by time and step; in binary when Accept names it.",
            ),
        ]  # fmt: skip

    def search(self, request: Request) -> Response:
        asked = query(request, RunQuery)
        ids = asked.experiment or tuple(
            one.id for one in self.tracking.experiments.search(limit=50_000).items
        )
        return listing(
            request,
            self.tracking.runs.search(
                ids,
                asked.filter,
                order_by=asked.order_by,
                view=asked.view,
                limit=asked.limit,
                token=asked.token,
            ),
        )

    def create(self, request: Request) -> Future[Response]:
        new = body(request, NewRun)
        begun = self.tracking.runs.begin(
            new.experiment_id,
            name=new.name,
            user=new.user,
            start_ms=new.start_ms,
            tags=new.tags,
            run_id=RunId(new.run_id) if new.run_id else None,
            actor=request.actor,
        )
        return then(begun, lambda run: reply(request, run, CREATED))

    def get(self, request: Request) -> Response:
        return reply(request, self.tracking.runs.get(request.params["run_id"]))

    def change(self, request: Request) -> Response:
        asked = body(request, RunChange)
        run_id = request.params["run_id"]
        self.tracking.runs.update(
            run_id,
            status=asked.status,
            end_ms=asked.end_ms,
            name=asked.name,
            actor=request.actor,
        ).result()
        return reply(request, self.tracking.runs.get(run_id))

    def delete(self, request: Request) -> Response:
        self.tracking.runs.delete(request.params["run_id"], actor=request.actor)
        return reply(request, {})

    def restore(self, request: Request) -> Response:
        self.tracking.runs.restore(request.params["run_id"], actor=request.actor)
        return reply(request, {})

    def log(self, request: Request) -> Future[Response]:
        new = body(request, NewBatch)
        now_ms = time.time_ns() // 1_000_000
        points = tuple(
            Point(
                point.key,
                _NAN if point.value is None else point.value,
                point.step,
                now_ms if point.time_ms is None else point.time_ms,
            )
            for point in new.points
        )
        batch = Batch(points=points, params=tuple(pairs(new.params)), tags=tuple(pairs(new.tags)))
        logged = self.tracking.runs.log(request.params["run_id"], batch, most_points=MOST_POINTS)
        return then(logged, lambda _names: reply(request, {}))

    def log_records(self, request: Request) -> Future[Response]:
        new = body(request, Records)
        batch = Batch(
            points=tuple(Point(*point) for point in new.points),
            params=tuple(new.params),
            tags=tuple(new.tags),
        )
        logged = self.tracking.runs.log(request.params["run_id"], batch, most_points=MOST_POINTS)
        return then(logged, lambda _names: reply(request, {}))

    def link(self, request: Request) -> Response:
        new = body(request, Inputs)
        self.tracking.runs.link(
            request.params["run_id"],
            datasets=new.datasets,
            models=new.models,
            actor=request.actor,
        )
        return reply(request, {})

    def untag(self, request: Request) -> Response:
        self.tracking.runs.untag(request.params["run_id"], request.params["key"])
        return reply(request, {})

    def alive(self, request: Request) -> Response:
        self.tracking.runs.seen(body(request, Alive).run_ids)
        return reply(request, {})

    def series(self, request: Request) -> Response:
        asked = query(request, SeriesQuery)
        found = self.tracking.charts.series(asked.run, asked.metric, most_steps=asked.most)
        return reply(request, found)

    def history(self, request: Request) -> Response:
        asked = query(request, HistoryQuery)
        found, next_token = self.tracking.runs.columns(
            request.params["run_id"], request.params["key"], limit=asked.limit, token=asked.token
        )
        if MEDIA_TYPE not in request.headers.get("accept", ""):
            return reply(request, columns(found, next_token))
        headers = [("content-type", MEDIA_TYPE), ("vary", "accept")]
        if next_token:
            headers.append(("x-next-token", next_token))
        return Response(200, headers, pack(found))
