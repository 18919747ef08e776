"""Windows and alerts in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.time import from_micros, to_micros
from mainspring.monitoring.ports import Alert, AlertState
from mainspring.monitoring.windows import Breach, Window
from mainspring.ports.database import Reader, Row, Transaction

_ALERT = (
    "id, endpoint, monitor, severity, state, opened_micros, closed_micros, observed, wanted, reason"
)
_window = msgspec.json.Decoder(Window)
_names = msgspec.json.Decoder(frozenset[str])


class SqlMonitorStore:
    """:class:`mainspring.monitoring.ports.MonitorStore` on SQLite and PostgreSQL."""

    def save_window(self, tx: Transaction, window: Window, breaches: list[Breach]) -> bool:
        changed = tx.run(
            "INSERT INTO windows (endpoint, start_micros, end_micros, document, breached) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                window.endpoint,
                to_micros(window.start),
                to_micros(window.end),
                canonical_json(window).decode(),
                canonical_json(sorted(breach.monitor for breach in breaches)).decode(),
            ),
        )
        return changed > 0

    def save_measurement(
        self, tx: Transaction, window: Window, breaches: list[Breach], now: datetime
    ) -> bool:
        changed = tx.run(
            "INSERT INTO measurements (endpoint, start_micros, number, measured_micros, document, "
            "breached) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                window.endpoint,
                to_micros(window.start),
                window.measurement,
                to_micros(now),
                canonical_json(window).decode(),
                canonical_json(sorted(breach.monitor for breach in breaches)).decode(),
            ),
        )
        return changed > 0

    def measurements(self, reader: Reader, endpoint: str, start: datetime) -> list[Window]:
        where = (endpoint, to_micros(start))
        rows = reader.all(
            "SELECT document, 1 AS number FROM windows WHERE endpoint = ? AND start_micros = ? "
            "UNION ALL SELECT document, number FROM measurements "
            "WHERE endpoint = ? AND start_micros = ? ORDER BY number",
            (*where, *where),
        )
        return [_window.decode(row[0]) for row in rows]

    def windows(
        self, reader: Reader, endpoint: str, *, since: datetime | None, limit: int
    ) -> list[Window]:
        rows = reader.all(
            f"SELECT {_last('document')} FROM windows w WHERE w.endpoint = ? "
            "AND w.start_micros >= ? ORDER BY w.start_micros LIMIT ?",
            (endpoint, to_micros(since) if since else -(2**62), limit),
        )
        return [_window.decode(row[0]) for row in rows]

    def breached(
        self, reader: Reader, endpoint: str, before: datetime, count: int
    ) -> list[frozenset[str]]:
        rows = reader.all(
            f"SELECT {_last('breached')} FROM windows w WHERE w.endpoint = ? "
            "AND w.start_micros < ? ORDER BY w.start_micros DESC LIMIT ?",
            (endpoint, to_micros(before), count),
        )
        return [_names.decode(row[0]) for row in rows]

    def open_alert(
        self, tx: Transaction, endpoint: str, breach: Breach, *, severity: str, now: datetime
    ) -> Alert | None:
        row = tx.one(
            "INSERT INTO alerts (endpoint, monitor, severity, state, is_open, opened_micros, "
            "observed, wanted, reason) VALUES (?, ?, ?, 'open', 1, ?, ?, ?, ?) "
            f"ON CONFLICT DO NOTHING RETURNING {_ALERT}",
            (
                endpoint,
                breach.monitor,
                severity,
                to_micros(now),
                breach.observed,
                breach.wanted,
                breach.reason,
            ),
        )
        return _alert(row) if row else None

    def close_alert(
        self, tx: Transaction, endpoint: str, monitor: str, now: datetime
    ) -> Alert | None:
        row = tx.one(
            "UPDATE alerts SET state = 'closed', is_open = 0, closed_micros = ? "
            f"WHERE endpoint = ? AND monitor = ? AND is_open = 1 RETURNING {_ALERT}",
            (to_micros(now), endpoint, monitor),
        )
        return _alert(row) if row else None

    def acknowledge(self, tx: Transaction, alert: int) -> Alert | None:
        row = tx.one(
            "UPDATE alerts SET state = 'acknowledged' WHERE id = ? AND is_open = 1 "
            f"RETURNING {_ALERT}",
            (alert,),
        )
        return _alert(row) if row else None

    def alerts(
        self, reader: Reader, endpoint: str | None, *, open_only: bool, limit: int
    ) -> list[Alert]:
        rows = reader.all(
            f"SELECT {_ALERT} FROM alerts WHERE (CAST(? AS TEXT) IS NULL OR endpoint = ?) "
            "AND is_open >= ? ORDER BY id DESC LIMIT ?",
            (endpoint, endpoint, int(open_only), limit),
        )
        return [_alert(row) for row in rows]


def _last(column: str) -> str:
    """A column of the last measurement of window ``w``; of its first when there is no other."""
    return (
        f"coalesce((SELECT m.{column} FROM measurements m WHERE m.endpoint = w.endpoint "
        f"AND m.start_micros = w.start_micros ORDER BY m.number DESC LIMIT 1), w.{column})"
    )


def _alert(row: Row) -> Alert:
    return Alert(
        id=row[0],
        endpoint=row[1],
        monitor=row[2],
        severity=row[3],
        state=cast("AlertState", row[4]),
        opened=from_micros(row[5]),
        closed=None if row[6] is None else from_micros(row[6]),
        observed=row[7],
        wanted=row[8],
        reason=row[9],
    )
