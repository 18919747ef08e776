"""Watching an endpoint: outcomes come in, windows are measured, rules raise and close alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from mainspring.core.errors import NotFound
from mainspring.core.events import EventKind, Fact, ref
from mainspring.monitoring import events
from mainspring.monitoring.ports import Alert, MonitorStore
from mainspring.monitoring.types import Monitor, Monitoring
from mainspring.monitoring.watched import Watched
from mainspring.monitoring.windows import LATE, Breach, Window, is_judged, judge, persistent
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.ports.tables import Frame, Tables
from mainspring.problem.types import Problem


@dataclass(frozen=True, slots=True)
class Watch:
    """The monitoring of endpoints."""

    database: Database
    tables: Tables
    store: MonitorStore
    clock: Clock

    def receive_outcomes(self, endpoint: str, rows: Frame, *, token: str) -> int:
        """Keeps outcomes by prediction id, each report once; the table's version.

        Shapes: ``rows`` has ``prediction_id`` (text), ``outcome`` (float64), ``known_at``
        (datetime64[us]).
        """
        import numpy as np

        from mainspring.serving.outcomes import Reports, store_outcomes

        now = np.datetime64(self.clock.now().replace(tzinfo=None), "us")
        count = len(rows["prediction_id"])
        full = {**rows, "received_at": np.full(count, now, dtype="datetime64[us]")}
        reports = Reports(full, key="prediction_id")
        return store_outcomes(self.tables, endpoint, reports, token=token)

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
        from mainspring.monitoring.measuring import Span, measure_window

        span = Span(self.tables, endpoint, start, end, self.clock.now())
        window = measure_window(span, watched, spec, problem)
        breaches = judge(spec.monitors, window, watched.evaluated)
        now = self.clock.now()

        def work(tx: Transaction) -> None:
            if not self.store.save_window(tx, window, breaches):
                return
            tx.announce(_measured(events.WINDOW_CLOSED, window, breaches))
            self._raise(tx, window, breaches, spec.monitors, now)

        self.database.write(work)
        return window, self.alerts(endpoint, open_only=True)

    def late(self, endpoint: str) -> list[Window]:
        """Kept windows, as measured last, of which more labels or other ones are known by now."""
        from mainspring.monitoring import live

        windows = self.windows(endpoint, limit=1_000_000)
        bounds = [(window.start, window.end) for window in windows]
        counts = live.label_counts(self.tables, endpoint, bounds, self.clock.now())
        return [
            window
            for window, (labelled, total) in zip(windows, counts, strict=True)
            if labelled != window.labelled
            or (window.label_total is not None and not _close_to(total, window.label_total))
        ]

    def measure_again(
        self, window: Window, *, watched: Watched, spec: Monitoring, problem: Problem
    ) -> Window:
        """The window with the labels known by now, kept as its next measurement; and judged.

        What it was before stays on record. Only rules that wait for labels are judged again: the
        others were judged when the window closed. Errors: as :meth:`close_window`.
        """
        from mainspring.monitoring.measuring import Span, measure_window

        now = self.clock.now()
        span = Span(self.tables, window.endpoint, window.start, window.end, now)
        again = msgspec.structs.replace(
            measure_window(span, watched, spec, problem), measurement=window.measurement + 1
        )
        breaches = judge(spec.monitors, again, watched.evaluated)
        waiting = {name: one for name, one in spec.monitors.items() if one.watch in LATE}

        def work(tx: Transaction) -> None:
            if self.store.save_measurement(tx, again, breaches, now):
                tx.announce(_measured(events.WINDOW_REMEASURED, again, breaches))
                self._raise(tx, again, breaches, waiting, now)

        self.database.write(work)
        return again

    def measurements(self, endpoint: str, start: datetime) -> list[Window]:
        """Every measurement of the window that starts then, the first one first."""
        return self.database.read(lambda db: self.store.measurements(db, endpoint, start))

    def windows(
        self, endpoint: str, *, since: datetime | None = None, limit: int = 1000
    ) -> list[Window]:
        """Kept windows, oldest first, each as it was measured last."""
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

    def _raise(
        self,
        tx: Transaction,
        window: Window,
        breaches: list[Breach],
        monitors: Mapping[str, Monitor],
        now: datetime,
    ) -> None:
        patience = max((monitor.patience for monitor in monitors.values()), default=1)
        past = self.store.breached(tx, window.endpoint, window.start, patience - 1)
        broken = {breach.monitor: breach for breach in breaches}
        later = self.store.windows(tx, window.endpoint, since=window.end, limit=1_000_000)
        for name, monitor in monitors.items():
            breach = broken.get(name)
            if breach is None:
                # A window that says nothing, or is not the newest that does, calls nothing off.
                newest = not any(is_judged(monitor, one) for one in later)
                if not (newest and is_judged(monitor, window)):
                    continue
                closed = self.store.close_alert(tx, window.endpoint, name, now)
                if closed:
                    tx.announce(_alert_fact(events.ALERT_CLOSED, closed))
            elif persistent(monitor, name, past):
                opened = self.store.open_alert(
                    tx, window.endpoint, breach, severity=monitor.severity, now=now
                )
                if opened:
                    tx.announce(_alert_fact(events.ALERT_OPENED, opened))


def _close_to(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * max(1.0, abs(one), abs(other))


def _measured(kind: EventKind, window: Window, breaches: list[Breach]) -> Fact:
    values = {name: one.value for name, one in window.metrics.items()}
    return Fact(
        kind=kind,
        subject=ref("window", f"{window.endpoint}@{window.start:%Y-%m-%dT%H:%M}"),
        facts={
            "end": window.end.isoformat(),
            "rows": window.rows,
            "labelled": window.labelled,
            "coverage": window.coverage,
            "measurement": window.measurement,
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


__all__ = ["Watch", "Watched"]
