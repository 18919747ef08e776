"""Where windows and alerts are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

import msgspec

from mainspring.monitoring.windows import Breach, Window
from mainspring.ports.database import Reader, Transaction

AlertState = Literal["open", "acknowledged", "closed"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A broken rule, from the window that broke it until one that keeps it again."""

    id: int
    endpoint: str
    monitor: str
    severity: str
    state: AlertState
    opened: datetime
    closed: datetime | None
    observed: float
    wanted: str
    reason: str


class MonitorStore(Protocol):
    """Windows by endpoint and start; alerts, of which one per monitor is open at a time."""

    def save_window(self, tx: Transaction, window: Window, breaches: list[Breach]) -> bool:
        """Keeps a window; False when this one is already kept, and nothing is changed."""
        ...

    def save_measurement(
        self, tx: Transaction, window: Window, breaches: list[Breach], now: datetime
    ) -> bool:
        """Keeps a later measurement of a kept window; False when that number is kept already."""
        ...

    def measurements(self, reader: Reader, endpoint: str, start: datetime) -> list[Window]:
        """Every measurement of one window, the first one first."""
        ...

    def windows(
        self, reader: Reader, endpoint: str, *, since: datetime | None, limit: int
    ) -> list[Window]:
        """Windows of an endpoint from ``since`` on, oldest first, each as measured last."""
        ...

    def breached(
        self, reader: Reader, endpoint: str, before: datetime, count: int
    ) -> list[frozenset[str]]:
        """The names of the rules broken in the windows before a moment, newest first.

        A window that was measured again counts as it was measured last.
        """
        ...

    def open_alert(
        self, tx: Transaction, endpoint: str, breach: Breach, *, severity: str, now: datetime
    ) -> Alert | None:
        """A new alert, or None when this monitor's is already open."""
        ...

    def close_alert(
        self, tx: Transaction, endpoint: str, monitor: str, now: datetime
    ) -> Alert | None:
        """The monitor's alert, closed; None when none was open."""
        ...

    def acknowledge(self, tx: Transaction, alert: int) -> Alert | None:
        """The alert, marked as seen; None when it does not exist or is closed."""
        ...

    def alerts(
        self, reader: Reader, endpoint: str | None, *, open_only: bool, limit: int
    ) -> list[Alert]:
        """Alerts, newest first."""
        ...
