"""Logged models on the MLflow wire: what ``log_model`` of clients since 3.0 needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.mlflow.artifacts import listing
from mainspring._entrypoints.mlflow.reading import (
    Pair,
    body,
    need,
    once,
    pairs,
    query,
)
from mainspring._entrypoints.mlflow.routing import RUNS_READ, RUNS_WRITE, both
from mainspring._entrypoints.mlflow.writing import answer, empty, logged_model
from mainspring.core.errors import Invalid
from mainspring.tracking import Tracking
from mainspring.tracking.filters import LOGGED_MODELS, Order, parse_order

MAX_ORDERS: Final = 8
_STATUS: Final = "LOGGED_MODEL_"
_NUMBERED: Final = {"1": "PENDING", "2": "READY", "3": "UPLOAD_FAILED"}


class _Create(msgspec.Struct):
    experiment_id: str | int | None = None
    name: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    params: list[Pair] | None = None
    tags: list[Pair] | None = None


class _Finish(msgspec.Struct):
    status: str | int | None = None


class _Tags(msgspec.Struct):
    tags: list[Pair] | None = None
    params: list[Pair] | None = None


class _OrderBy(msgspec.Struct):
    field_name: str
    ascending: bool | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class _OnDataset(msgspec.Struct):
    dataset_name: str | None = None
    dataset_digest: str | None = None


class _Search(msgspec.Struct):
    experiment_ids: list[str] | None = None
    filter: str | None = None
    datasets: list[_OnDataset] | None = None
    order_by: list[_OrderBy] | None = None
    max_results: int | None = None
    page_token: str | None = None


class _Directory(msgspec.Struct):
    artifact_directory_path: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedModelRoutes:
    """The handlers of ``logged-models/...``."""

    tracking: Tracking

    def routes(self) -> list[Route]:
        base = "/2.0/mlflow/logged-models"
        one = f"{base}/{{model_id}}"
        return [
            *both("POST", base, self.create, RUNS_WRITE),
            *both("POST", f"{base}/search", self.search, RUNS_READ),
            *both("GET", one, self.get, RUNS_READ),
            *both("PATCH", one, self.finish, RUNS_WRITE),
            *both("DELETE", one, self.delete, RUNS_WRITE),
            *both("PATCH", f"{one}/tags", self.set_tags, RUNS_WRITE),
            *both("DELETE", f"{one}/tags/{{key}}", self.delete_tag, RUNS_WRITE),
            *both("POST", f"{one}/params", self.log_params, RUNS_WRITE),
            *both("GET", f"{one}/artifacts/directories", self.artifacts, RUNS_READ),
        ]

    def create(self, request: Request) -> Response:
        asked = body(request, _Create)
        experiment_id = None if asked.experiment_id is None else str(asked.experiment_id)
        made = self.tracking.models.create(
            need(experiment_id, "experiment_id"),
            name=asked.name or "",
            model_type=asked.model_type or "",
            run_id=asked.source_run_id or "",
            params=once(asked.params),
            tags=dict(pairs(asked.tags)),
            actor=request.actor,
        )
        return answer({"model": logged_model(made)})

    def get(self, request: Request) -> Response:
        found = self.tracking.models.get(request.params["model_id"])
        return answer({"model": logged_model(found)})

    def finish(self, request: Request) -> Response:
        asked = body(request, _Finish)
        text = str(asked.status or "")
        status = _NUMBERED.get(text, text.removeprefix(_STATUS))
        found = self.tracking.models.finish(request.params["model_id"], status)
        return answer({"model": logged_model(found)})

    def delete(self, request: Request) -> Response:
        self.tracking.models.delete(request.params["model_id"], actor=request.actor)
        return empty()

    def set_tags(self, request: Request) -> Response:
        tags = dict(pairs(body(request, _Tags).tags))
        found = self.tracking.models.tag(request.params["model_id"], tags)
        return answer({"model": logged_model(found)})

    def delete_tag(self, request: Request) -> Response:
        self.tracking.models.untag(request.params["model_id"], request.params["key"])
        return empty()

    def log_params(self, request: Request) -> Response:
        params = once(body(request, _Tags).params)
        self.tracking.models.log_params(request.params["model_id"], params)
        return empty()

    def search(self, request: Request) -> Response:
        asked = body(request, _Search)
        orders = asked.order_by or []
        if len(orders) > MAX_ORDERS:
            raise Invalid("http.bad_order", f"At most {MAX_ORDERS} orders are taken.")
        datasets = [(d.dataset_name or "", d.dataset_digest or "") for d in asked.datasets or ()]
        datasets += [(o.dataset_name, o.dataset_digest or "") for o in orders if o.dataset_name]
        page = self.tracking.models.search(
            asked.experiment_ids or (),
            asked.filter or "",
            orders=tuple(map(_order, orders)),
            datasets=[pair for pair in datasets if pair[0]],
            limit=100 if asked.max_results is None else asked.max_results,
            token=asked.page_token,
        )
        found = {"models": [logged_model(model) for model in page.items]} if page.items else {}
        more = {"next_page_token": page.next_token} if page.next_token else {}
        return answer({**found, **more})

    def artifacts(self, request: Request) -> Response:
        model = self.tracking.models.get(request.params["model_id"])
        path = query(request, _Directory).artifact_directory_path
        return answer(listing(self.tracking, model.artifact_uri, path))


def _order(asked: _OrderBy) -> Order:
    found = parse_order(asked.field_name, LOGGED_MODELS)
    return Order(found.kind, found.key, descending=asked.ascending is False)
