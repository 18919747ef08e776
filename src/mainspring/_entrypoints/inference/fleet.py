"""What a gateway serves right now: the route table, its loaded models, and their lanes.

A change loads and checks everything first, then stores ``routes.json``, then replaces one
reference. The models of each endpoint's route before stay loaded, so going back costs no loading.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mainspring._entrypoints.inference.lanes import DEFAULT_LIMITS, Lane, LaneLimits
from mainspring.core.digest import Digest
from mainspring.core.errors import Conflict
from mainspring.ports.objects import Objects
from mainspring.serving.isolation import Place, Places
from mainspring.serving.live import LiveEndpoint, live_endpoint
from mainspring.serving.model import ServedModel, load_model
from mainspring.serving.routes import read_routes, write_routes
from mainspring.serving.traffic import Route, RouteTable, Variant

_ROUTES_LOCK: Final = "routes.lock"
_Models = dict[tuple[Digest, Place], ServedModel]


class Fleet:
    """Endpoints in service. Changes come from any thread, one at a time; reads never wait.

    ``shared``: other processes serve, and change, the same routes. ``places``: what loads the
    models, and which of them in processes of their own.
    """

    def __init__(
        self,
        folder: Path,
        objects: Objects,
        places: Places,
        limits: LaneLimits = DEFAULT_LIMITS,
        *,
        shared: bool = False,
    ) -> None:
        self._limits = limits
        self._shared = shared
        self._folder = folder
        self._objects = objects
        self._places = places
        self._changing = threading.Lock()
        self._models: _Models = {}
        self._lanes: dict[ServedModel, Lane] = {}
        self._shadow_lanes: dict[ServedModel, Lane] = {}
        self.table = RouteTable()
        self.endpoints: Mapping[str, LiveEndpoint] = {}
        self.is_ready = False

    def restore(self) -> None:
        """Loads what ``routes.json`` says; then the gateway is ready."""
        with self._changing:
            self._install(read_routes(self._folder))
            self.is_ready = True

    def deploy(self, endpoint: str, route: Route, *, revision: int | None = None) -> RouteTable:
        """The table in service once the route is live.

        ``revision``, when given, is the table the caller has seen; another one is a conflict.
        Errors: those of :func:`load_model` and :func:`check_route`;
        ``serving.revision_conflict``. After an error everything is as it was.
        """
        with self._alone():
            self._check_revision(revision)
            current = self.table.routes.get(endpoint)
            if current == route:
                return self.table
            return self._replace(self.table.with_route(endpoint, route))

    def roll_back(self, endpoint: str) -> RouteTable:
        """The table in service once the endpoint's route before is live again.

        Errors: ``serving.nothing_before``; as :meth:`deploy` when it was not loaded any more.
        """
        with self._alone():
            return self._replace(self.table.rolled_back(endpoint))

    def remove(self, endpoint: str) -> RouteTable:
        """The table in service without the endpoint. Errors: ``serving.endpoint_not_found``."""
        with self._alone():
            self.table.route(endpoint)
            return self._replace(self.table.without(endpoint))

    def reload(self) -> RouteTable:
        """The table of ``routes.json``, in service (another process may have written it)."""
        with self._changing:
            table = read_routes(self._folder)
            if table != self.table:
                self._install(table)
            return self.table

    def endpoint(self, name: str) -> LiveEndpoint:
        """An endpoint in service. Errors: ``serving.endpoint_not_found``."""
        live = self.endpoints.get(name)
        if live is None:
            self.table.route(name)
            raise Conflict(
                "serving.not_ready", f"The endpoint {name!r} is loading.", hint="Try again soon."
            )
        return live

    def serves(self, name: str, version: str | None) -> bool:
        """Whether an endpoint is in service, with that version when one is named."""
        live = self.endpoints.get(name)
        return live is not None and (
            version is None or any(one.version == version for one in live.route.variants)
        )

    def lane(self, model: ServedModel) -> Lane:
        """The lane of a model; event loop only."""
        lane = self._lanes.get(model)
        if lane is None:
            lane = self._lanes[model] = Lane(model, self._limits)
        return lane

    def shadow_lane(self, model: ServedModel) -> Lane:
        """The lane for copies that nobody waits for; event loop only."""
        lane = self._shadow_lanes.get(model)
        if lane is None:
            lane = self._shadow_lanes[model] = Lane(model, self._limits, on_thread=True)
        return lane

    def lanes(self) -> list[Lane]:
        """Every lane that answers."""
        return list(self._lanes.values())

    def shadow_lanes(self) -> list[Lane]:
        """Every lane whose answers are only recorded."""
        return list(self._shadow_lanes.values())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else changes the routes meanwhile: no other thread, and no other process."""
        with self._changing:
            if not self._shared:
                yield
                return
            with (self._folder / _ROUTES_LOCK).open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                table = read_routes(self._folder)
                if table != self.table:
                    self._install(table)
                yield

    def _check_revision(self, revision: int | None) -> None:
        if revision is not None and revision != self.table.revision:
            raise Conflict(
                "serving.revision_conflict",
                f"The routes are at revision {self.table.revision}, not {revision}.",
                hint="Read the routes again and repeat the change.",
                revision=self.table.revision,
            )

    def _replace(self, table: RouteTable) -> RouteTable:
        loaded = self._load(table)
        write_routes(self._folder, table)
        self._swap(table, loaded)
        return table

    def _install(self, table: RouteTable) -> None:
        self._swap(table, self._load(table))

    def _load(self, table: RouteTable) -> _Loaded:
        models = {
            key: self._models.get(key) or self._load_one(*key) for key in self._keys(table.routes)
        }
        endpoints = {
            name: self.endpoints[name]
            if name in self.endpoints and self.table.routes.get(name) == route
            else live_endpoint(name, route, {v.name: models[self._key(v)] for v in route.variants})
            for name, route in table.routes.items()
        }
        return _Loaded(endpoints, models)

    def _load_one(self, digest: Digest, place: Place) -> ServedModel:
        return load_model(digest, self._objects.get, self._places.runtimes(place))

    def _swap(self, table: RouteTable, loaded: _Loaded) -> None:
        self.table, self.endpoints = table, loaded.endpoints
        before = self._keys(table.previous)
        kept = {key: model for key, model in self._models.items() if key in before}
        self._models = {**kept, **loaded.models}
        still = set(self._models.values())
        for lanes in (self._lanes, self._shadow_lanes):
            for model in [model for model in list(lanes) if model not in still]:
                lanes.pop(model).close()

    def _keys(self, routes: Mapping[str, Route]) -> set[tuple[Digest, Place]]:
        return {self._key(variant) for route in routes.values() for variant in route.variants}

    def _key(self, variant: Variant) -> tuple[Digest, Place]:
        return variant.model, self._places.place(variant.role)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What a table needs in memory."""

    endpoints: dict[str, LiveEndpoint]
    models: _Models
