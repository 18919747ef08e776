"""Model versions on the MLflow wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.mlflow.reading import Pair, body, either, need, pairs, query
from mainspring._entrypoints.mlflow.registered_models import Search, because, version_number
from mainspring._entrypoints.mlflow.registry_shapes import (
    PROMPT_TAG,
    VERSIONS,
    asks_for_prompts,
    is_prompt,
    registry_query,
    shown_source,
    stored_source,
    version_json,
    without_prompt_clauses,
)
from mainspring._entrypoints.mlflow.routing import MODELS_READ, MODELS_WRITE, both
from mainspring._entrypoints.mlflow.writing import answer, empty
from mainspring.core.errors import Invalid
from mainspring.registry import Details, Query, Registry, Version
from mainspring.registry.address import parse_address
from mainspring.tracking import Tracking
from mainspring.tracking.types import LoggedModel

MAX_VERSIONS: Final = 200_000
DEFAULT_VERSIONS: Final = 10_000
_MOST_HOPS: Final = 8
_VERSIONS_TAG: Final = "mlflow.modelVersions"


class _Create(msgspec.Struct):
    name: str | None = None
    source: str | None = None
    run_id: str | None = None
    tags: list[Pair] | None = None
    run_link: str | None = None
    description: str | None = None
    model_id: str | None = None


class _One(msgspec.Struct):
    name: str | None = None
    version: str | int | None = None
    description: str | None = None
    stage: str | None = None
    archive_existing_versions: bool | None = None
    key: str | None = None
    value: str | None = None

    @property
    def place(self) -> tuple[str, int]:
        return need(self.name, "name"), version_number(self.version)


@dataclass(frozen=True, slots=True)
class ModelVersionRoutes:
    """The handlers of ``model-versions/...``."""

    registry: Registry
    tracking: Tracking

    def routes(self) -> list[Route]:
        base = "/2.0/mlflow/model-versions"
        table = [
            ("POST", "create", self.create, MODELS_WRITE),
            ("PATCH", "update", self.update, MODELS_WRITE),
            ("POST", "transition-stage", self.transition, MODELS_WRITE),
            ("DELETE", "delete", self.delete, MODELS_WRITE),
            ("GET", "get", self.get, MODELS_READ),
            ("GET", "search", self.search, MODELS_READ),
            ("GET", "get-download-uri", self.download_uri, MODELS_READ),
            ("POST", "set-tag", self.set_tag, MODELS_WRITE),
            ("DELETE", "delete-tag", self.delete_tag, MODELS_WRITE),
        ]
        return [
            route
            for method, name, handler, permission in table
            for route in both(method, f"{base}/{name}", handler, permission)
        ]

    def create(self, request: Request) -> Response:
        asked = body(request, _Create)
        tags = dict(pairs(asked.tags))
        source = stored_source(need(asked.source, "source"))
        model = self._logged_model(source, asked.model_id)
        details = Details(
            description=asked.description or "",
            tags=tags,
            run_id=asked.run_id or (model.run_id if model else ""),
            run_link=asked.run_link or "",
            source=source,
            logged_model_id=model.id if model else asked.model_id or "",
            created_by=request.actor.name,
        )
        made = self.registry.versions.create_from_source(
            need(asked.name, "name"), details, because=because(request)
        )
        if model is not None and not is_prompt(tags):
            self._note(model, made)
        return answer({"model_version": version_json(made)})

    def update(self, request: Request) -> Response:
        asked = body(request, _One)
        versions = self.registry.versions
        if asked.description is None:
            return _shown(versions.get(*asked.place))
        return _shown(versions.describe(*asked.place, asked.description, because(request)))

    def transition(self, request: Request) -> Response:
        asked = body(request, _One)
        moved = self.registry.versions.transition(
            *asked.place,
            need(asked.stage, "stage"),
            archive_existing=bool(asked.archive_existing_versions),
            because=because(request),
        )
        return _shown(moved)

    def delete(self, request: Request) -> Response:
        place = either(request, _One).place
        self.registry.versions.delete(*place, with_aliases=True, because=because(request))
        return empty()

    def get(self, request: Request) -> Response:
        return _shown(self.registry.versions.get(*query(request, _One).place))

    def search(self, request: Request) -> Response:
        asked = query(request, Search)
        limit = DEFAULT_VERSIONS if asked.max_results is None else asked.max_results
        if not 1 <= limit <= MAX_VERSIONS:
            raise Invalid(
                "http.bad_limit",
                f"Invalid value {limit} for parameter 'max_results' supplied: "
                f"it must be between 1 and {MAX_VERSIONS}.",
            )
        wanted = registry_query(
            VERSIONS, asked.filter, asked.order_by, limit=limit, token=asked.page_token
        )
        versions, token = self._search(wanted)
        found = {"model_versions": [version_json(one) for one in versions]} if versions else {}
        return answer({**found, **({"next_page_token": token} if token else {})})

    def download_uri(self, request: Request) -> Response:
        version = self.registry.versions.get(*query(request, _One).place)
        return answer({"artifact_uri": self._location(version.source)})

    def set_tag(self, request: Request) -> Response:
        asked = body(request, _One)
        tags = {need(asked.key, "key"): asked.value or ""}
        self.registry.versions.tag(*asked.place, tags, because(request))
        return empty()

    def delete_tag(self, request: Request) -> Response:
        asked = either(request, _One)
        self.registry.versions.untag(*asked.place, need(asked.key, "key"), because(request))
        return empty()

    # -- inside ---------------------------------------------------------------------------------

    def _logged_model(self, source: str, model_id: str | None) -> LoggedModel | None:
        """The logged model that a version is made of, when its source or the caller names one."""
        named = source.removeprefix("models:/") if source.startswith("models:/m-") else model_id
        return self.tracking.models.get(named) if named else None

    def _note(self, model: LoggedModel, version: Version) -> None:
        """The logged model's tag lists the versions made of it, as clients look for them there."""
        found = msgspec.json.decode(model.tags.get(_VERSIONS_TAG, "[]"), type=list[dict[str, Any]])
        entry = {"name": version.name, "version": version.number}
        text = msgspec.json.encode([*found, entry]).decode()
        self.tracking.models.tag(model.id, {_VERSIONS_TAG: text})

    def _location(self, source: str) -> str:
        """Where a version's files lie: its source, followed through models and runs."""
        for _ in range(_MOST_HOPS):
            if source.startswith("models:/m-"):
                return self.tracking.models.get(source.removeprefix("models:/")).artifact_uri
            if source.startswith("runs:/"):
                run_id, _, path = source.removeprefix("runs:/").partition("/")
                return f"{self.tracking.runs.get(run_id).artifact_uri}/{path}".rstrip("/")
            if not source.startswith("models:/"):
                return shown_source(source)
            address = parse_address(source.removeprefix("models:/"))
            source = self.registry.versions.get(address.name, address.number or 0).source
        raise Invalid("registry.bad_source", "The sources of this version go in a circle.")

    def _search(self, wanted: Query) -> tuple[list[Version], str | None]:
        if asks_for_prompts(wanted):
            page = self.registry.versions.search(wanted)
            return list(page.items), page.next_token
        rest, found = without_prompt_clauses(wanted), []
        while True:
            page = self.registry.versions.search(rest)
            found += [version for version in page.items if PROMPT_TAG not in version.tags]
            left = wanted.limit - len(found)
            if page.next_token is None or left <= 0:
                return found, page.next_token
            rest = msgspec.structs.replace(rest, limit=left, token=page.next_token)


def _shown(version: Version) -> Response:
    return answer({"model_version": version_json(version)})
