"""Where a project's loop stands: what is live, what is wrong, what is due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from mainspring.core.errors import MainspringError
from mainspring.data import staging
from mainspring.data.service import Datasets
from mainspring.improvement.machine import Challenge, due
from mainspring.improvement.service import Loop
from mainspring.monitoring.ports import Alert
from mainspring.monitoring.service import Watch
from mainspring.monitoring.windows import Window
from mainspring.ports.clock import Clock
from mainspring.projects.file import LoadedProject
from mainspring.projects.production import CHAMPION
from mainspring.projects.steps import CANDIDATE
from mainspring.registry.service import Registry
from mainspring.serving.traffic import RouteTable


class EndpointStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers an endpoint, and how many others get copies or a share."""

    endpoint: str
    version: str
    others: tuple[str, ...]


class DatasetStanding(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of a dataset. ``changed``: its source holds something else by now."""

    dataset: str
    version: int | None
    rows: int
    ingested: datetime | None
    changed: bool
    trouble: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; ``due`` says in words what to do next."""

    project: str
    model: str
    champion: int | None
    candidate: int | None
    gateway: str | None
    endpoints: tuple[EndpointStanding, ...]
    challenge: Challenge | None
    alerts: tuple[Alert, ...]
    window: Window | None
    datasets: tuple[DatasetStanding, ...]
    due: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looking:
    """Reads where a project stands; changes nothing."""

    project: LoadedProject
    datasets: Datasets
    registry: Registry
    watch: Watch
    loop: Loop
    clock: Clock

    def standing(self, routes: RouteTable, gateway: str | None) -> Standing:
        """Where it stands, given what is served."""
        spec = self.project.spec
        model = spec.model
        champion, candidate = self._alias(CHAMPION), self._alias(CANDIDATE)
        windows = self.watch.windows(model, limit=1_000_000)
        found = Standing(
            project=spec.project.name,
            model=model,
            champion=champion,
            candidate=candidate if candidate != champion else None,
            gateway=gateway,
            endpoints=tuple(_endpoints(routes)),
            challenge=self.loop.current(model),
            alerts=tuple(self.watch.alerts(open_only=True)),
            window=windows[-1] if windows else None,
            datasets=tuple(self._dataset(name) for name in spec.datasets),
            due=(),
        )
        return msgspec.structs.replace(found, due=tuple(self._due(found)))

    def _alias(self, alias: str) -> int | None:
        try:
            return self.registry.aliases.get(self.project.spec.model, alias).version
        except MainspringError as error:
            if error.kind != "not_found":
                raise
            return None

    def _dataset(self, name: str) -> DatasetStanding:
        spec, newest = self.project.spec, self.datasets.latest(name)
        trouble, changed = "", False
        try:
            found = staging.find(name, spec.datasets[name], spec.sources, self.project.folder)
            changed = newest is not None and newest.source != found.digest
        except MainspringError as error:
            trouble = error.message
        return DatasetStanding(
            dataset=name,
            version=newest.version if newest else None,
            rows=newest.rows if newest else 0,
            ingested=newest.created if newest else None,
            changed=changed,
            trouble=trouble,
        )

    def _due(self, found: Standing) -> Iterator[str]:
        for one in found.datasets:
            if one.trouble:
                yield one.trouble
            elif one.version is None:
                yield f"{one.dataset} was never ingested: mainspring run train"
            elif one.changed:
                yield f"The source of {one.dataset} has changed: mainspring data ingest {one.dataset}"
        if found.champion is None:
            yield "There is no champion yet: mainspring run train"
            return
        served = {one.endpoint: one.version for one in found.endpoints}.get(found.model)
        if served is None:
            yield f"The champion is not deployed: mainspring endpoints deploy {found.model}"
        elif served != str(found.champion):
            yield (
                f"Version {served} answers, the champion is {found.champion}: "
                f"mainspring endpoints deploy {found.model}"
            )
        if found.gateway is None and served is not None:
            yield "The gateway is not running: mainspring gateway"
        if found.candidate is not None:
            yield (
                f"{found.model}/{found.candidate} waits as candidate: "
                f"mainspring models diff {found.model}@champion {found.model}@candidate"
            )
        yield from self._retraining(found)

    def _retraining(self, found: Standing) -> Iterator[str]:
        spec = self.project.spec
        if found.champion is None or found.challenge is not None:
            return
        manifest = self.registry.packages.open(found.model, found.champion).manifest
        last = datetime.fromisoformat(manifest.trained_until) if manifest.trained_until else None
        alerts = tuple(alert.monitor for alert in found.alerts if alert.endpoint == found.model)
        trigger, _ = due(spec.retraining, last=last, now=self.clock.now(), alerts=alerts)
        if trigger is not None:
            yield f"Retraining is due ({trigger}): mainspring run train"


def _endpoints(routes: RouteTable) -> Iterator[EndpointStanding]:
    for name, route in routes.routes.items():
        others = tuple(
            f"{v.name} {v.version} ({v.role}{f' {v.share:.0%}' if v.share else ''})"
            for v in route.variants
            if v != route.champion
        )
        yield EndpointStanding(endpoint=name, version=route.champion.version, others=others)
