"""Registered models and their aliases on the MLflow wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.mlflow.reading import Pair, body, either, need, pairs, query
from mainspring._entrypoints.mlflow.registry_shapes import (
    MODELS,
    asks_for_prompts,
    is_prompt,
    model_json,
    registry_query,
    version_json,
    without_prompt_clauses,
)
from mainspring._entrypoints.mlflow.routing import MODELS_READ, MODELS_WRITE, both
from mainspring._entrypoints.mlflow.writing import answer, empty
from mainspring.core.errors import Invalid
from mainspring.registry import ANYTHING, Because, Query, Registry
from mainspring.registry.types import Model

MAX_MODELS: Final = 1000


class _One(msgspec.Struct):
    name: str | None = None
    new_name: str | None = None
    description: str | None = None
    tags: list[Pair] | None = None
    key: str | None = None
    value: str | None = None
    alias: str | None = None
    version: str | int | None = None
    stages: list[str] | None = None


class Search(msgspec.Struct):
    """A search's filter, order and page."""

    filter: str | None = None
    max_results: int | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


def because(request: Request) -> Because:
    """The change's author."""
    return Because(actor=request.actor)


def version_number(value: str | int | None) -> int:
    """The number of a version, which clients send as text."""
    text = str(value or "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):  # noqa: PLR2004 - 32 bits
        raise Invalid("http.bad_version", f"Model version must be an integer, got {text[:40]!r}.")
    return int(text)


@dataclass(frozen=True, slots=True)
class RegisteredModelRoutes:
    """The handlers of ``registered-models/...``."""

    registry: Registry

    def routes(self) -> list[Route]:
        base = "/2.0/mlflow/registered-models"
        table = [
            ("POST", "create", self.create, MODELS_WRITE),
            ("POST", "rename", self.rename, MODELS_WRITE),
            ("PATCH", "update", self.update, MODELS_WRITE),
            ("DELETE", "delete", self.delete, MODELS_WRITE),
            ("GET", "get", self.get, MODELS_READ),
            ("GET", "search", self.search, MODELS_READ),
            ("POST", "get-latest-versions", self.latest, MODELS_READ),
            ("GET", "get-latest-versions", self.latest, MODELS_READ),
            ("POST", "set-tag", self.set_tag, MODELS_WRITE),
            ("DELETE", "delete-tag", self.delete_tag, MODELS_WRITE),
            ("POST", "alias", self.set_alias, MODELS_WRITE),
            ("DELETE", "alias", self.delete_alias, MODELS_WRITE),
            ("GET", "alias", self.by_alias, MODELS_READ),
        ]
        return [
            route
            for method, name, handler, permission in table
            for route in both(method, f"{base}/{name}", handler, permission)
        ]

    def create(self, request: Request) -> Response:
        asked = body(request, _One)
        made = self.registry.models.register(
            need(asked.name, "name"),
            description=asked.description or "",
            tags=dict(pairs(asked.tags)),
            because=because(request),
        )
        return answer({"registered_model": model_json(made, ())})

    def rename(self, request: Request) -> Response:
        asked = body(request, _One)
        name, new = need(asked.name, "name"), need(asked.new_name, "new_name")
        return self._shown(self.registry.models.rename(name, new, because(request)))

    def update(self, request: Request) -> Response:
        asked = body(request, _One)
        name = need(asked.name, "name")
        models = self.registry.models
        if asked.description is None:
            return self._shown(models.get(name))
        return self._shown(models.describe(name, asked.description, because(request)))

    def delete(self, request: Request) -> Response:
        name = need(either(request, _One).name, "name")
        self.registry.models.delete(name, with_aliases=True, because=because(request))
        return empty()

    def get(self, request: Request) -> Response:
        return self._shown(self.registry.models.get(need(query(request, _One).name, "name")))

    def search(self, request: Request) -> Response:
        asked = query(request, Search)
        limit = 100 if asked.max_results is None else asked.max_results
        if not 1 <= limit <= MAX_MODELS:
            raise Invalid(
                "http.bad_limit",
                f"Invalid value {limit} for parameter 'max_results' supplied: "
                f"it must be between 1 and {MAX_MODELS}.",
            )
        wanted = registry_query(
            MODELS, asked.filter, asked.order_by, limit=limit, token=asked.page_token
        )
        models, token = self._search(wanted)
        found = {"registered_models": [self._json(model) for model in models]} if models else {}
        return answer({**found, **({"next_page_token": token} if token else {})})

    def latest(self, request: Request) -> Response:
        asked = either(request, _One)
        versions = self.registry.versions.latest(need(asked.name, "name"), asked.stages or ())
        return answer(
            {"model_versions": [version_json(one) for one in versions]} if versions else {}
        )

    def set_tag(self, request: Request) -> Response:
        asked = body(request, _One)
        tags = {need(asked.key, "key"): asked.value or ""}
        self.registry.models.tag(need(asked.name, "name"), tags, because(request))
        return empty()

    def delete_tag(self, request: Request) -> Response:
        asked = either(request, _One)
        name, key = need(asked.name, "name"), need(asked.key, "key")
        self.registry.models.untag(name, key, because(request))
        return empty()

    def set_alias(self, request: Request) -> Response:
        asked = body(request, _One)
        self.registry.aliases.move(
            need(asked.name, "name"),
            need(asked.alias, "alias"),
            to=version_number(asked.version),
            expected=ANYTHING,
            because=because(request),
        )
        return empty()

    def delete_alias(self, request: Request) -> Response:
        asked = either(request, _One)
        name, alias = need(asked.name, "name"), need(asked.alias, "alias")
        self.registry.aliases.remove(name, alias, expected=ANYTHING, because=because(request))
        return empty()

    def by_alias(self, request: Request) -> Response:
        asked = query(request, _One)
        name, alias = need(asked.name, "name"), need(asked.alias, "alias")
        # Clients ask so for the newest version: load_prompt("prompts:/NAME@latest"), for one.
        newest = alias.lower() == "latest"
        found = self.registry.aliases.resolve(name if newest else f"{name}@{alias}")
        return answer({"model_version": version_json(found)})

    # -- inside ---------------------------------------------------------------------------------

    def _search(self, wanted: Query) -> tuple[list[Model], str | None]:
        """A page of models; prompts only when asked for, models only when not."""
        if asks_for_prompts(wanted):
            page = self.registry.models.search(wanted)
            return list(page.items), page.next_token
        rest, found = without_prompt_clauses(wanted), []
        while True:
            page = self.registry.models.search(rest)
            found += [model for model in page.items if not is_prompt(model.tags)]
            left = wanted.limit - len(found)
            if page.next_token is None or left <= 0:
                return found, page.next_token
            rest = msgspec.structs.replace(rest, limit=left, token=page.next_token)

    def _json(self, model: Model) -> dict[str, Any]:
        return model_json(model, self.registry.versions.latest(model.name))

    def _shown(self, model: Model) -> Response:
        return answer({"registered_model": self._json(model)})
