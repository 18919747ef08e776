"""The end of a replay: every month, window, version and decision, read back from the record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainspring.core.events import ref
from mainspring.core.time import to_iso
from mainspring.data.versions import CheckResult
from mainspring.improvement.machine import Challenge
from mainspring.monitoring import live
from mainspring.monitoring.windows import Window
from mainspring.ports.tables import Frame
from mainspring.problem.types import MetricName
from mainspring.projects.parts import Parts
from mainspring.projects.production import CHAMPION
from mainspring.projects.replay import FROZEN
from mainspring.projects.rows import offset_of
from mainspring.projects.summary import Decision, MonthLine, Summary, VersionLine, WindowLine
from mainspring.training.evaluation import Judging
from mainspring.training.gates import primary_metric
from mainspring.training.metrics import metric

_ENDED = {
    "promoted": "promoted",
    "rejected": "rejected",
    "withdrawn": "withdrawn",
    "rolled_back": "rolled back",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """Reads what a replay left behind. Nothing here is remembered from playing it."""

    parts: Parts
    begin: datetime
    end: datetime

    def summary(self, *, seconds: float) -> Summary:
        """All of it."""
        parts, spec = self.parts, self.parts.project.spec
        endpoint = parts.production.endpoint
        windows = parts.watch.windows(endpoint)
        challenges = parts.loop.history(endpoint, limit=1000)[::-1]
        audit = parts.record.verify()
        objective = ref("objective", spec.project.name)
        answered = live.answered(parts.tables, endpoint, self.begin, self.end, now=self.end)
        return Summary(
            project=spec.project.name,
            title=spec.project.description or spec.project.name,
            metric=self.metric,
            cost_unit=spec.problem.costs.unit,
            rows=self._rows(),
            months=tuple(self._months(answered, challenges)),
            windows=tuple(self._window(window) for window in windows),
            versions=tuple(self._versions(challenges)),
            decisions=tuple(self._decisions(challenges)),
            quality=tuple(self._quality()),
            events=audit.events,
            audit_ok=audit.ok,
            lineage_nodes=len(parts.record.downstream(objective).nodes),
            predictions_served=len(answered["score"]),
            seconds=seconds,
        )

    @property
    def metric(self) -> MetricName:
        """The metric that the months are told in."""
        return primary_metric(self.parts.project.spec.problem)

    # -- months -------------------------------------------------------------------------------

    def _months(self, answered: Frame, challenges: list[Challenge]) -> list[MonthLine]:
        parts = self.parts
        frozen = live.paired(
            parts.tables,
            parts.production.endpoint,
            (str(FROZEN), str(FROZEN)),
            self.begin,
            self.end,
            now=self.end,
        )
        moved = np.timedelta64(offset_of(self.begin))
        champion_month = (answered["event_time"] - moved).astype("datetime64[M]")
        frozen_month = (frozen["event_time"] - moved).astype("datetime64[M]")
        alerts = parts.watch.alerts(parts.production.endpoint)
        opened = Counter(f"{alert.opened - offset_of(self.begin):%Y-%m}" for alert in alerts)
        return [
            self._month(
                str(month),
                {k: v[champion_month == month] for k, v in answered.items()},
                {k: v[frozen_month == month] for k, v in frozen.items()},
                challenges,
                opened[str(month)],
            )
            for month in np.unique(champion_month)
        ]

    def _month(
        self,
        month: str,
        answered: dict[str, NDArray[Any]],
        frozen: dict[str, NDArray[Any]],
        challenges: list[Challenge],
        alerts: int,
    ) -> MonthLine:
        mine = [c for c in challenges if self._month_of(c.opened) == month]
        ended = [c for c in challenges if not c.open and self._month_of(c.since) == month]
        known = live.known(answered)
        taken = {k: v[known] for k, v in answered.items()}
        versions = np.full(len(frozen["first"]), str(FROZEN), dtype=object)
        last = min(self._next(month), self.end) - timedelta(microseconds=1)
        return MonthLine(
            month=month,
            rows=int(known.sum()),
            frozen=self._score(self.metric, frozen["outcome"], frozen["first"], versions),
            champion=self._score(self.metric, taken["outcome"], taken["score"], taken["version"]),
            champion_version=self.parts.registry.aliases.live_at(
                self.parts.production.model, CHAMPION, last
            )
            or 0,
            frozen_cost_per_1000=self._score(
                "cost_per_1000", frozen["outcome"], frozen["first"], versions
            ),
            champion_cost_per_1000=self._score(
                "cost_per_1000", taken["outcome"], taken["score"], taken["version"]
            ),
            alerts=alerts,
            retrained=len(mine),
            decision=", ".join(f"{_ENDED[c.state]} v{c.challenger}" for c in ended) or "kept",
        )

    def _score(
        self,
        name: MetricName,
        outcomes: NDArray[Any],
        scores: NDArray[Any],
        versions: NDArray[Any],
    ) -> float | None:
        """The metric; costs by each version's own threshold."""
        problem = self.parts.project.spec.problem
        labels, used = outcomes.astype(np.float64), scores.astype(np.float64)
        if labels.size == 0:
            return None
        if name == "cost_per_1000" and problem.task == "binary":
            cuts = {v: self.parts.production.threshold(int(v)) for v in set(versions.tolist())}
            used = (used >= np.array([cuts[v] for v in versions.tolist()])).astype(np.float64)
        judging = Judging(task=problem.task, costs=problem.costs)
        return metric(judging.measure(name), labels, used)

    def _month_of(self, moment: datetime) -> str:
        # A decision at a day's end belongs to that day.
        return f"{moment - offset_of(self.begin) - timedelta(microseconds=1):%Y-%m}"

    def _next(self, month: str) -> datetime:
        year, number = map(int, month.split("-"))
        first = self.begin.replace(day=1)
        return first.replace(year=year + number // 12, month=number % 12 + 1)

    # -- the rest -----------------------------------------------------------------------------

    def _window(self, window: Window) -> WindowLine:
        own = window.metrics.get(self.metric)
        other = window.references.get(str(FROZEN), {})
        frozen, frozen_cost = other.get(self.metric), other.get("cost_per_1000")
        cost = window.metrics.get("cost_per_1000")
        alerts = self.parts.watch.alerts(window.endpoint)
        return WindowLine(
            start=to_iso(window.start),
            end=to_iso(window.end),
            rows=window.rows,
            coverage=window.coverage,
            champion=own.value if own else None,
            low=own.low if own else None,
            high=own.high if own else None,
            frozen=frozen.value if frozen else None,
            champion_cost_per_1000=cost.value if cost else None,
            frozen_cost_per_1000=frozen_cost.value if frozen_cost else None,
            drifted=sum(one.moved for one in window.drift),
            effect=max((one.effect for one in window.drift), default=None),
            broken=len(window.quality),
            alerts=tuple(sorted(a.monitor for a in alerts if a.opened == window.end)),
        )

    def _versions(self, challenges: list[Challenge]) -> list[VersionLine]:
        parts = self.parts
        champion = parts.production.champion()
        by_version = {c.challenger: c for c in challenges if c.challenger is not None}
        lines = []
        for number in range(1, max([FROZEN, *by_version]) + 1):
            challenge = by_version.get(number)
            manifest = parts.production.manifest(number)
            status = _status(number, champion, challenge)
            reason = challenge.reason if challenge else "The first version; it passed its gates."
            lines.append(
                VersionLine(
                    version=number,
                    trained_until=manifest.trained_until or "",
                    status=status,
                    reason=reason,
                )
            )
        return lines

    def _decisions(self, challenges: list[Challenge]) -> list[Decision]:
        found = []
        for challenge in challenges:
            for event in self.parts.record.about(ref("challenge", challenge.id)):
                move = event.facts.get("to", "requested") or "requested"
                if move in {"training", "comparing"}:
                    continue
                found.append(
                    Decision(
                        time=to_iso(event.time),
                        challenge=challenge.id,
                        move=str(move),
                        reason=str(event.facts.get("reason", "")),
                    )
                )
        return found

    def _rows(self) -> dict[str, int]:
        names = self.parts.datasets.names()
        newest = {name: self.parts.datasets.show(name) for name in names}
        counts = {name: version.rows for name, version in newest.items()}
        return {**counts, "features": self.parts.rows.build.table_rows}

    def _quality(self) -> list[dict[str, Any]]:
        """Every expectation over all versions of each dataset, the most failures first."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for name in self.parts.datasets.names():
            for version in self.parts.datasets.versions(name):
                for check in version.report.checks:
                    line = found.setdefault((name, check.name), _quality_line(name, check))
                    line["checked"] += check.checked
                    line["failed"] += check.failed
                    if check.failed:
                        line["verdict"] = check.verdict
        return sorted(found.values(), key=lambda line: (-line["failed"], line["dataset"]))


def _quality_line(dataset: str, check: CheckResult) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "expectation": check.name,
        "severity": check.severity,
        "checked": 0,
        "failed": 0,
        "verdict": check.verdict,
        "why": check.why,
    }


def _status(number: int, champion: int | None, challenge: Challenge | None) -> str:
    if number == champion:
        return "champion"
    if challenge is None or challenge.state == "promoted":
        return "replaced"
    return _ENDED.get(challenge.state, challenge.state)
