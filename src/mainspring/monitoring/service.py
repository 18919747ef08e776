"""Watching an endpoint: outcomes come in, windows are measured, rules raise and close alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import NotFound
from mainspring.core.events import EventKind, Fact, ref
from mainspring.core.schema import Signature
from mainspring.monitoring import events, live
from mainspring.monitoring.drift import ColumnDrift
from mainspring.monitoring.ports import Alert, MonitorStore
from mainspring.monitoring.quality import QualityFinding
from mainspring.monitoring.reference import Measured, Reference, measure
from mainspring.monitoring.types import Monitoring
from mainspring.monitoring.windows import Breach, Broken, Drifted, Window, judge, persistent
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.ports.tables import Frame, Tables
from mainspring.problem.types import Problem
from mainspring.training.bootstrap import Estimate, bootstrap
from mainspring.training.evaluation import METRICS, Judging


@dataclass(frozen=True, slots=True)
class Watched:
    """The version that a window is measured against: its reference and its own evaluation.

    ``thresholds`` gives each version's decision threshold, for costs. ``by_row``: rows are drawn
    for the intervals, not days; right only where rows have no time and so no common cause in it.
    """

    model: str
    version: int
    signature: Signature | None
    reference: Reference | None
    evaluated: Mapping[str, float]
    thresholds: Mapping[str, float]
    compare_with: tuple[str, ...] = ()
    by_row: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """The monitoring of endpoints."""

    database: Database
    tables: Tables
    store: MonitorStore
    clock: Clock

    def receive_outcomes(self, endpoint: str, rows: Frame, *, token: str) -> int:
        """Keeps outcomes by prediction id, once per token; the table's new version.

        Shapes: ``rows`` has ``prediction_id`` (text), ``outcome`` (float64), ``known_at``
        (datetime64[us]).
        """
        now = np.datetime64(self.clock.now().replace(tzinfo=None), "us")
        count = len(rows["prediction_id"])
        full = {**rows, "received_at": np.full(count, now, dtype="datetime64[us]")}
        return self.tables.append(live.outcome_table(endpoint), full, token=token)

    def close_window(
        self,
        endpoint: str,
        start: datetime,
        end: datetime,
        *,
        watched: Watched,
        spec: Monitoring,
        problem: Problem,
    ) -> tuple[Window, list[Alert]]:
        """The window [start, end) measured and kept, and the alerts that are open after it.

        Measuring a window again that is already kept changes nothing.
        """
        window = self._measure(endpoint, start, end, watched, spec, problem)
        breaches = judge(spec.monitors, window, watched.evaluated)
        now = self.clock.now()

        def work(tx: Transaction) -> None:
            if not self.store.save_window(tx, window, breaches):
                return
            tx.announce(_closed(window, breaches))
            self._raise(tx, window, breaches, spec, now)

        self.database.write(work)
        return window, self.alerts(endpoint, open_only=True)

    def windows(
        self, endpoint: str, *, since: datetime | None = None, limit: int = 1000
    ) -> list[Window]:
        """Kept windows, oldest first."""
        return self.database.read(
            lambda db: self.store.windows(db, endpoint, since=since, limit=limit)
        )

    def alerts(
        self, endpoint: str | None = None, *, open_only: bool = False, limit: int = 1000
    ) -> list[Alert]:
        """Alerts, newest first."""
        return self.database.read(
            lambda db: self.store.alerts(db, endpoint, open_only=open_only, limit=limit)
        )

    def acknowledge(self, alert: int) -> Alert:
        """The alert, marked as seen. Errors: ``monitoring.alert_not_open``."""

        def work(tx: Transaction) -> Alert:
            found = self.store.acknowledge(tx, alert)
            if found is None:
                raise NotFound(
                    "monitoring.alert_not_open",
                    f"Alert {alert} is not open.",
                    hint="List open ones with 'mainspring alerts ls'.",
                    alert=alert,
                )
            tx.announce(_alert_fact(events.ALERT_ACKNOWLEDGED, found))
            return found

        return self.database.write(work)

    # -- inside -------------------------------------------------------------------------------

    def _measure(
        self,
        endpoint: str,
        start: datetime,
        end: datetime,
        watched: Watched,
        spec: Monitoring,
        problem: Problem,
    ) -> Window:
        frame = live.answered(
            self.tables, endpoint, start, end, now=self.clock.now(), signature=watched.signature
        )
        labelled = live.known(frame)
        moved = _beside(watched.reference, frame, spec)
        return Window(
            endpoint=endpoint,
            start=start,
            end=end,
            model=watched.model,
            versions=tuple(sorted({int(v) for v in frame["version"]})),
            rows=len(labelled),
            labelled=int(labelled.sum()),
            metrics=_metrics(frame, labelled, frame["score"], watched, problem),
            references=self._references(endpoint, start, end, watched, problem),
            drift=tuple(_drifted(one) for one in moved.drift if one.judged),
            score_drift=_drifted(moved.score) if moved.score else None,
            quality=tuple(_broken(one) for one in moved.quality if one.broken),
        )

    def _references(
        self, endpoint: str, start: datetime, end: datetime, watched: Watched, problem: Problem
    ) -> dict[str, dict[str, Estimate]]:
        found = {}
        for version in watched.compare_with:
            rows = live.paired(
                self.tables, endpoint, (version, version), start, end, now=self.clock.now()
            )
            everything = np.ones(len(rows["outcome"]), dtype=bool)
            whole = {**rows, "version": np.full(len(everything), version, dtype=object)}
            found[version] = _metrics(whole, everything, rows["first"], watched, problem)
        return found

    def _raise(
        self,
        tx: Transaction,
        window: Window,
        breaches: list[Breach],
        spec: Monitoring,
        now: datetime,
    ) -> None:
        patience = max((monitor.patience for monitor in spec.monitors.values()), default=1)
        past = self.store.breached(tx, window.endpoint, window.start, patience - 1)
        broken = {breach.monitor: breach for breach in breaches}
        for name, monitor in spec.monitors.items():
            breach = broken.get(name)
            if breach is None:
                closed = self.store.close_alert(tx, window.endpoint, name, now)
                if closed:
                    tx.announce(_alert_fact(events.ALERT_CLOSED, closed))
            elif persistent(monitor, name, past):
                opened = self.store.open_alert(
                    tx, window.endpoint, breach, severity=monitor.severity, now=now
                )
                if opened:
                    tx.announce(_alert_fact(events.ALERT_OPENED, opened))


def _beside(reference: Reference | None, frame: Frame, spec: Monitoring) -> Measured:
    if reference is None or not len(frame["score"]):
        return Measured([], None, [])
    least = min((m.min_rows for m in spec.monitors.values()), default=300)
    return measure(reference, frame, frame["score"], effect=0.1, significance=0.01, min_rows=least)


def _broken(one: QualityFinding) -> Broken:
    return Broken(
        name=one.column,
        check=one.check,
        observed=one.ratio,
        expected=one.reference_ratio,
        significance=one.q_value,
    )


def _drifted(one: ColumnDrift) -> Drifted:
    return Drifted(
        name=one.column,
        effect=one.effect,
        significance=one.q_value,
        rows=one.n_current,
        moved=one.drifted,
    )


def _metrics(
    frame: Frame, rows: NDArray[np.bool_], scores: NDArray[Any], watched: Watched, problem: Problem
) -> dict[str, Estimate]:
    """Every metric of the task on the labelled rows, with an interval over days (or rows).

    Costs are those of the decisions taken, each version deciding by its own threshold: the score
    is shifted so that one threshold serves them all.
    """
    if not rows.any():
        return {}
    labels = frame["outcome"][rows].astype(np.float64)
    predicted = scores[rows].astype(np.float64)
    days = frame["event_time"][rows].astype("datetime64[D]").astype(np.int64)
    drawn = np.arange(len(days), dtype=np.int64) if watched.by_row else days
    judging = Judging(task=problem.task, costs=problem.costs)
    found: dict[str, Estimate] = {}
    for name in METRICS[problem.task]:
        used = predicted
        if name == "cost_per_1000" and problem.task == "binary":
            cuts = np.array([watched.thresholds.get(str(v), 0.5) for v in frame["version"][rows]])
            used = (predicted >= cuts).astype(np.float64)
        found[name] = bootstrap(
            judging.measure(name), labels, used, drawn, draws=100, confidence=0.9
        )
    return found


def _closed(window: Window, breaches: list[Breach]) -> Fact:
    values = {name: one.value for name, one in window.metrics.items()}
    return Fact(
        kind=events.WINDOW_CLOSED,
        subject=ref("window", f"{window.endpoint}@{window.start:%Y-%m-%dT%H:%M}"),
        facts={
            "end": window.end.isoformat(),
            "rows": window.rows,
            "labelled": window.labelled,
            "metrics": values,
            "drifted": sum(one.moved for one in window.drift),
            "broken": len(window.quality),
            "breached": [msgspec.to_builtins(breach) for breach in breaches],
        },
        used=(
            ref("endpoint", window.endpoint),
            *(ref("model", f"{window.model}/{version}") for version in window.versions),
        ),
        generated=(ref("window", f"{window.endpoint}@{window.start:%Y-%m-%dT%H:%M}"),),
    )


def _alert_fact(kind: EventKind, alert: Alert) -> Fact:
    return Fact(
        kind=kind,
        subject=ref("alert", alert.id),
        facts={
            "endpoint": alert.endpoint,
            "monitor": alert.monitor,
            "severity": alert.severity,
            "observed": alert.observed,
            "wanted": alert.wanted,
            "reason": alert.reason,
        },
        used=(ref("endpoint", alert.endpoint),),
        generated=(ref("alert", alert.id),),
    )
