"""The queue as a table: a row is a job, its lease is three columns of the row.

A lease ends when its time is over *and* another worker takes the job. The clock decides only when
a job may be taken again; whether a holder's write counts is decided by the fence in the row, which
grows with every lease. So a clock that lies delays work, and never lets two holders finish one job.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.errors import Conflict
from mainspring.core.ids import JobId, new_id
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Reader, Row, Transaction
from mainspring.ports.queue import Job, Lease

_INSERT: Final = (
    "INSERT INTO jobs (id, kind, job_key, arguments, state, attempt, not_before_micros, fence, "
    "created_micros) VALUES (?, ?, ?, ?, 'waiting', 0, ?, 0, ?) ON CONFLICT (job_key) DO NOTHING"
)
_COLUMNS: Final = "id, kind, arguments, attempt, fence"
_LEASE: Final = (
    "UPDATE jobs SET state = 'leased', attempt = attempt + 1, fence = fence + 1, worker = ?, "
    "expires_micros = ? WHERE id = ? AND fence = ? AND state IN ('waiting', 'leased')"
)
_HOLDS: Final = "id = ? AND fence = ? AND state = 'leased'"


class SqlQueue:
    """The queue port on a database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def enqueue(
        self, tx: Transaction, kind: str, arguments: dict[str, Any], *, key: str | None = None
    ) -> JobId:
        now = self._micros()
        job = JobId(new_id())
        text = canonical_json(arguments).decode()
        if tx.run(_INSERT, (job, kind, key, text, now, now)):
            return job
        found = tx.one("SELECT id FROM jobs WHERE job_key = ?", (key,))
        assert found is not None  # noqa: S101 - the insert met it, and jobs are never removed
        return JobId(found[0])

    def take(self, worker: str, kinds: tuple[str, ...], *, seconds: float) -> Lease | None:
        while True:
            # An idle worker only reads: looking for work must not cost a commit.
            free = self._database.read(lambda db: self._free(db, kinds))
            if free is None:
                return None
            lease = self._lease(free, worker, self._micros(seconds))
            taken = self._database.write(
                lambda tx, lease=lease, free=free: tx.run(  # type: ignore[misc]
                    _LEASE, (worker, lease.expires_micros, lease.job.id, free[4])
                )
            )
            if taken:
                return lease

    def extend(self, lease: Lease, *, seconds: float) -> Lease:
        until = self._micros(seconds)
        sql = f"UPDATE jobs SET expires_micros = ? WHERE {_HOLDS}"
        values = (until, lease.job.id, lease.fence)
        if not self._database.write(lambda tx: tx.run(sql, values)):
            raise _lost(lease)
        return msgspec.structs.replace(lease, expires_micros=until)

    def guard(self, tx: Transaction, lease: Lease) -> None:
        # An update, so that on PostgreSQL the row stays locked until this transaction ends.
        sql = f"UPDATE jobs SET worker = worker WHERE {_HOLDS}"
        if not tx.run(sql, (lease.job.id, lease.fence)):
            raise _lost(lease)

    def complete(self, tx: Transaction, lease: Lease, result: dict[str, Any]) -> None:
        sql = f"UPDATE jobs SET state = 'done', result = ? WHERE {_HOLDS}"
        text = canonical_json(result).decode()
        if not tx.run(sql, (text, lease.job.id, lease.fence)):
            raise _lost(lease)

    def fail(
        self, lease: Lease, error: dict[str, Any], *, retry_after_seconds: float | None
    ) -> None:
        state = "failed" if retry_after_seconds is None else "waiting"
        sql = f"UPDATE jobs SET state = ?, not_before_micros = ?, result = ? WHERE {_HOLDS}"
        again = self._micros(retry_after_seconds or 0.0)
        values = (state, again, canonical_json(error).decode(), lease.job.id, lease.fence)
        if not self._database.write(lambda tx: tx.run(sql, values)):
            raise _lost(lease)

    def _free(self, db: Reader, kinds: tuple[str, ...]) -> Row | None:
        """The oldest job that nobody holds; one whose holder died goes first, as it is older."""
        listed = ", ".join("?" * len(kinds)) or "NULL"
        for state, moment in (("leased", "expires_micros"), ("waiting", "not_before_micros")):
            row = db.one(
                f"SELECT {_COLUMNS} FROM jobs WHERE state = '{state}' AND kind IN ({listed}) "
                f"AND {moment} <= ? ORDER BY not_before_micros, id LIMIT 1",
                (*kinds, self._micros()),
            )
            if row is not None:
                return row
        return None

    def _lease(self, row: Row, worker: str, until_micros: int) -> Lease:
        arguments = msgspec.json.decode(row[2], type=dict[str, Any])
        job = Job(id=JobId(row[0]), kind=row[1], arguments=arguments, attempt=row[3] + 1)
        return Lease(job=job, worker=worker, fence=row[4] + 1, expires_micros=until_micros)

    def _micros(self, later_seconds: float = 0.0) -> int:
        return to_micros(self._clock.now() + timedelta(seconds=later_seconds))


def _lost(lease: Lease) -> Conflict:
    return Conflict(
        "queue.lease_lost",
        f"Job {lease.job.id} is no longer held by {lease.worker!r}; nothing was written.",
        hint="Another worker has it, or it is finished; drop the result and take the next job.",
        job=lease.job.id,
        fence=lease.fence,
    )
