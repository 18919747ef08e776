"""Watching an endpoint: outcomes come in, windows are measured, rules raise and close alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from mainspring.core.errors import NotFound
from mainspring.core.events import EventKind, Fact, ref
from mainspring.monitoring import events
from mainspring.monitoring.ports import Alert, MonitorStore
from mainspring.monitoring.types import Monitoring
from mainspring.monitoring.watched import Watched
from mainspring.monitoring.windows import Breach, Window, judge, persistent
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
        """Keeps outcomes by prediction id, once per token; the table's new version.

        Shapes: ``rows`` has ``prediction_id`` (text), ``outcome`` (float64), ``known_at``
        (datetime64[us]).
        """
        import numpy as np

        from mainspring.monitoring import live

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
        from mainspring.monitoring.measuring import Span, measure_window

        span = Span(self.tables, endpoint, start, end, self.clock.now())
        window = measure_window(span, watched, spec, problem)
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


__all__ = ["Watch", "Watched"]
