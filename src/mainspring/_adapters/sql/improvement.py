"""Challenges in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from mainspring.core.errors import Conflict
from mainspring.core.time import from_micros, to_micros
from mainspring.improvement.machine import FINAL, Challenge, Move, State
from mainspring.ports.database import Reader, Row, Transaction

_COLUMNS = (
    "id, endpoint, model, cause, champion, challenger, state, step, opened_micros, since_micros, "
    "reason"
)


class SqlChallengeStore:
    """:class:`mainspring.improvement.ports.ChallengeStore` on SQLite and PostgreSQL."""

    def open(
        self,
        tx: Transaction,
        *,
        endpoint: str,
        model: str,
        trigger: str,
        champion: int,
        now: datetime,
    ) -> Challenge:
        if self.current(tx, endpoint) is not None:
            raise Conflict(
                "improvement.already_open",
                f"The endpoint {endpoint!r} already has an open challenge.",
                hint="Let it end, or see 'mainspring loop show'.",
                endpoint=endpoint,
            )
        at = to_micros(now)
        row = tx.one(
            "INSERT INTO challenges (endpoint, model, cause, champion, state, step, is_open, "
            "opened_micros, since_micros, reason) VALUES (?, ?, ?, ?, 'requested', 0, 1, ?, ?, ?) "
            f"RETURNING {_COLUMNS}",
            (endpoint, model, trigger, champion, at, at, trigger),
        )
        return _challenge(cast("Row", row))

    def move(self, tx: Transaction, challenge: Challenge, move: Move, now: datetime) -> Challenge:
        row = tx.one(
            "UPDATE challenges SET state = ?, step = ?, is_open = ?, since_micros = ?, reason = ?, "
            "challenger = COALESCE(?, challenger) WHERE id = ? AND state = ? AND step = ? "
            f"RETURNING {_COLUMNS}",
            (
                move.to,
                move.step,
                int(move.to not in FINAL),
                to_micros(now),
                move.reason,
                move.challenger,
                challenge.id,
                challenge.state,
                challenge.step,
            ),
        )
        if row is None:
            raise Conflict(
                "improvement.moved_meanwhile",
                f"Challenge {challenge.id} is no longer in state {challenge.state}.",
                hint="Another worker moved it; read it again.",
                challenge=challenge.id,
            )
        return _challenge(row)

    def current(self, reader: Reader, endpoint: str) -> Challenge | None:
        row = reader.one(
            f"SELECT {_COLUMNS} FROM challenges WHERE endpoint = ? AND is_open = 1", (endpoint,)
        )
        return _challenge(row) if row else None

    def last(self, reader: Reader, endpoint: str) -> Challenge | None:
        found = self.list(reader, endpoint, limit=1)
        return found[0] if found else None

    def list(self, reader: Reader, endpoint: str, *, limit: int) -> list[Challenge]:
        rows = reader.all(
            f"SELECT {_COLUMNS} FROM challenges WHERE endpoint = ? ORDER BY id DESC LIMIT ?",
            (endpoint, limit),
        )
        return [_challenge(row) for row in rows]


def _challenge(row: Row) -> Challenge:
    return Challenge(
        id=row[0],
        endpoint=row[1],
        model=row[2],
        trigger=row[3],
        champion=row[4],
        challenger=row[5],
        state=cast("State", row[6]),
        step=row[7],
        opened=from_micros(row[8]),
        since=from_micros(row[9]),
        reason=row[10],
    )
