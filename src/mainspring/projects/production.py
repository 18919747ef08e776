"""Production as the loop needs it: who answers an endpoint, predictions, outcomes, comparisons.

What is live is decided in the database (aliases and the open challenge); the gateway's route is
made from it, so after a crash the route is simply made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import Digest
from mainspring.core.events import Fact, ref
from mainspring.improvement.comparison import Contender, PairedComparison, Rules, compare
from mainspring.improvement.machine import Challenge, Live
from mainspring.improvement.types import Comparison, Release
from mainspring.monitoring import live
from mainspring.ports.database import Database
from mainspring.ports.tables import Frame, Tables
from mainspring.problem.types import Problem
from mainspring.projects import events
from mainspring.registry.manifest import Manifest
from mainspring.registry.service import Registry
from mainspring.serving.traffic import Role, Route, Variant

CHAMPION: Final = "champion"


class Gateway(Protocol):
    """The inference gateway of a workspace, wherever it runs."""

    def deploy(self, endpoint: str, route: Route) -> None:
        """The route is live when this returns."""
        ...

    def predict(
        self,
        endpoint: str,
        rows: Frame,
        *,
        ids: list[str],
        entity: list[str],
        event_times: NDArray[np.datetime64],
    ) -> Mapping[str, NDArray[Any]]:
        """The answers, once their records are durable."""
        ...

    def ship(self) -> int:
        """Moves every record so far into the prediction table; how many rows."""
        ...


@dataclass(frozen=True, slots=True)
class Production:
    """One endpoint of one project in production."""

    database: Database
    tables: Tables
    registry: Registry
    gateway: Gateway
    endpoint: str
    model: str
    problem: Problem
    seed: int
    entity: tuple[str, ...] = ()

    def champion(self) -> int | None:
        """The version that is live, or None before the first release."""
        return self.registry.aliases.get(self.model, CHAMPION).version

    def manifest(self, version: int) -> Manifest:
        """A version's manifest, checked."""
        return self.registry.packages.open(self.model, version).manifest

    def threshold(self, version: int) -> float:
        """The cut that a version decides by."""
        decision = self.manifest(version).decision
        return decision.threshold if decision else 0.5

    def release(
        self, challenge: Challenge | None, rules: Release, *, frozen: int | None
    ) -> Route | None:
        """Brings the gateway's route in line with the record; None while nothing is live.

        ``frozen`` is a version that answers every row beside the champion, for comparison only.
        """
        champion = self.champion()
        if champion is None:
            return None
        variants = self._variants(champion, challenge, rules, frozen)
        route = Route(variants=variants, entity=self.entity)
        self.gateway.deploy(self.endpoint, route)
        return route

    def announce_release(self, route: Route, why: str) -> None:
        """Records who answers from now on."""
        models = tuple(
            dict.fromkeys(ref("model", f"{self.model}/{v.version}") for v in route.variants)
        )
        subject = ref("endpoint", self.endpoint)
        fact = Fact(
            kind=events.DEPLOYED,
            subject=subject,
            facts={"variants": self.told(route), "why": why},
            used=models,
            generated=(subject,),
        )
        self.database.write(lambda tx: tx.announce(fact))

    def told(self, route: Route) -> list[dict[str, Any]]:
        """Who answers by a route, as it is recorded."""
        return [
            {"name": v.name, "version": v.version, "role": v.role, "share": v.share}
            for v in route.variants
        ]

    def _variants(
        self, champion: int, challenge: Challenge | None, rules: Release, frozen: int | None
    ) -> tuple[Variant, ...]:
        found = [self._variant("champion", champion, "champion")]
        if challenge is not None and challenge.challenger is not None and challenge.open:
            if challenge.state == "canary":
                share = rules.canary[challenge.step].share
                found.append(self._variant("canary", challenge.challenger, "canary", share))
            if challenge.state in {"shadow", "canary"}:
                found.append(self._variant("challenger", challenge.challenger, "reference"))
        if frozen is not None and frozen != champion:
            found.append(self._variant("frozen", frozen, "reference"))
        return tuple(found)

    def _variant(self, name: str, version: int, role: Role, share: float = 0.0) -> Variant:
        package = self.registry.versions.get(self.model, version).package
        return Variant(
            name=name, model=Digest(str(package)), version=str(version), role=role, share=share
        )

    def live_comparison(
        self, challenge: Challenge, rules: Comparison, *, now: datetime
    ) -> tuple[Live, PairedComparison | None]:
        """How the challenger did beside the champion on live rows since its stage began."""
        rows = live.paired(
            self.tables,
            self.endpoint,
            (str(challenge.champion), str(challenge.challenger)),
            challenge.since,
            now,
            now=now,
        )
        labels = rows["outcome"].astype(np.float64)
        healthy = bool(np.isfinite(rows["second"].astype(np.float64)).all())
        if labels.size == 0 or not healthy:
            nothing = Live(
                rows=int(labels.size),
                difference=None,
                low=None,
                high=None,
                healthy=healthy,
                metric=rules.metric,
            )
            return nothing, None
        found = self.compare(
            labels, rows["first"], rows["second"], rows["event_time"], challenge, rules
        )
        sign = 1.0 if found.higher_is_better else -1.0
        low, high = _turned(found.low, found.high, sign)
        return (
            Live(
                rows=int(labels.size),
                difference=None if found.difference is None else sign * found.difference,
                low=low,
                high=high,
                metric=rules.metric,
            ),
            found,
        )

    def compare(
        self,
        labels: NDArray[np.float64],
        champion: NDArray[Any],
        challenger: NDArray[Any],
        times: NDArray[Any],
        challenge: Challenge,
        rules: Comparison,
        *,
        threshold: float | None = None,
    ) -> PairedComparison:
        """The paired test of challenger and champion on the same rows, drawn by day."""
        old = self.threshold(challenge.champion)
        new = threshold if threshold is not None else self.threshold(challenge.challenger or 0)
        return compare(
            labels,
            times.astype("datetime64[D]").astype(np.int64),
            champion=Contender(champion.astype(np.float64), old),
            challenger=Contender(challenger.astype(np.float64), new),
            rules=Rules(
                metric=rules.metric,
                task=self.problem.task,
                confidence=rules.confidence,
                margin=rules.margin,
                seed=self.seed,
                costs=self.problem.costs,
            ),
        )


def _turned(
    low: float | None, high: float | None, sign: float
) -> tuple[float | None, float | None]:
    """The interval in the direction of 'better'."""
    if low is None or high is None:
        return None, None
    return (low, high) if sign > 0 else (-high, -low)
