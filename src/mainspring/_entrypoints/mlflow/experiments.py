"""Experiments on the MLflow wire."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
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
from mainspring._entrypoints.mlflow.routing import EXPERIMENTS_READ, EXPERIMENTS_WRITE, both
from mainspring._entrypoints.mlflow.writing import answer, empty, experiment
from mainspring.core.errors import Invalid
from mainspring.tracking import Experiments

MAX_EXPERIMENTS = 50_000


class _Create(msgspec.Struct):
    name: str | None = None
    artifact_location: str | None = None
    tags: list[Pair] | None = None


class _One(msgspec.Struct):
    experiment_id: str | int | None = None
    experiment_name: str | None = None
    new_name: str | None = None
    key: str | None = None
    value: str | None = None

    @property
    def id(self) -> str:
        return experiment_number(self.experiment_id)


class _Search(msgspec.Struct):
    max_results: int | None = None
    page_token: str | None = None
    filter: str | None = None
    order_by: list[str] | None = None
    view_type: str | int | None = None


@dataclass(frozen=True, slots=True)
class ExperimentRoutes:
    """The handlers of ``experiments/...``."""

    experiments: Experiments

    def routes(self) -> list[Route]:
        base = "/2.0/mlflow/experiments"
        table = [
            ("POST", "create", self.create, EXPERIMENTS_WRITE),
            ("GET", "get", self.get, EXPERIMENTS_READ),
            ("GET", "get-by-name", self.get_by_name, EXPERIMENTS_READ),
            ("POST", "search", self.search, EXPERIMENTS_READ),
            ("GET", "search", self.search, EXPERIMENTS_READ),
            ("POST", "delete", self.delete, EXPERIMENTS_WRITE),
            ("POST", "restore", self.restore, EXPERIMENTS_WRITE),
            ("POST", "update", self.update, EXPERIMENTS_WRITE),
            ("POST", "set-experiment-tag", self.set_tag, EXPERIMENTS_WRITE),
            ("POST", "delete-experiment-tag", self.delete_tag, EXPERIMENTS_WRITE),
        ]
        return [
            route
            for method, name, handler, permission in table
            for route in both(method, f"{base}/{name}", handler, permission)
        ]

    def create(self, request: Request) -> Response:
        asked = body(request, _Create)
        made = self.experiments.create(
            need(asked.name, "name"),
            artifact_uri=asked.artifact_location or "",
            tags=dict(pairs(asked.tags)),
            actor=request.actor,
        )
        return answer({"experiment_id": made.id})

    def get(self, request: Request) -> Response:
        return answer({"experiment": experiment(self.experiments.get(query(request, _One).id))})

    def get_by_name(self, request: Request) -> Response:
        name = need(query(request, _One).experiment_name, "experiment_name")
        return answer({"experiment": experiment(self.experiments.named(name))})

    def search(self, request: Request) -> Response:
        asked = either(request, _Search)
        limit = asked.max_results if asked.max_results is not None else 1000
        if not 1 <= limit <= MAX_EXPERIMENTS:
            raise Invalid(
                "http.bad_limit",
                f"Invalid value {limit} for parameter 'max_results' supplied: "
                f"it must be between 1 and {MAX_EXPERIMENTS}.",
            )
        page = self.experiments.search(
            asked.filter or "",
            order_by=tuple(asked.order_by or ()),
            view=view_of(asked.view_type),
            limit=limit,
            token=asked.page_token,
        )
        found = {"experiments": [experiment(one) for one in page.items]} if page.items else {}
        return answer(found | ({"next_page_token": page.next_token} if page.next_token else {}))

    def delete(self, request: Request) -> Response:
        self.experiments.delete(body(request, _One).id, actor=request.actor)
        return empty()

    def restore(self, request: Request) -> Response:
        self.experiments.restore(body(request, _One).id, actor=request.actor)
        return empty()

    def update(self, request: Request) -> Response:
        asked = body(request, _One)
        name = need(asked.new_name, "new_name")
        self.experiments.rename(asked.id, name, actor=request.actor)
        return empty()

    def set_tag(self, request: Request) -> Response:
        asked = body(request, _One)
        tags = {need(asked.key, "key"): asked.value or ""}
        self.experiments.tag(asked.id, tags, actor=request.actor)
        return empty()

    def delete_tag(self, request: Request) -> Response:
        asked = body(request, _One)
        self.experiments.untag(asked.id, need(asked.key, "key"), actor=request.actor)
        return empty()
