"""PostgreSQL as the database port: many readers, one writer among all processes.

A process's writes go through one thread, in groups, as on SQLite. Groups of several processes are
lined up by an advisory lock held for the transaction, so that a piece of work sees all that came
before it, the record has one order, and no statement needs to know which database it runs on.
When the server goes away in the middle of a commit, its transaction number tells afterwards whether
it was committed (``pg_xact_status``), so nothing is written twice.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Final, Literal, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from mainspring._adapters.postgres.connection import (
    Connection,
    PostgresReader,
    PostgresTransaction,
    away,
    connect,
    translate,
)
from mainspring._adapters.sql import migration
from mainspring._adapters.sql.writer import GroupWriter, Work, closed
from mainspring.core.actor import SYSTEM, Actor
from mainspring.core.errors import Broken, MainspringError, Unavailable
from mainspring.ports.clock import Clock
from mainspring.ports.database import Reader, Transaction

T = TypeVar("T")
IDLE_READERS: Final = 8
ATTEMPTS: Final = 5
LOCK: Final = 0x6D61696E  # "main": one writer among all processes of this database
_AGAIN: Final = (errors.SerializationFailure, errors.DeadlockDetected)


class PostgresDatabase:
    """A database on a server; ``url`` is a libpq connection string or ``postgresql://`` address.

    ``actor``: who acts, unless a fact names another.
    ``patience_seconds`` bounds the wait for a server that went away in the middle of a commit.
    """

    dialect: Literal["sqlite", "postgres"] = "postgres"

    def __init__(
        self,
        url: str,
        clock: Clock,
        actor: Actor = SYSTEM,
        *,
        patience_seconds: float = 5.0,
    ) -> None:
        self._url = url
        self._clock = clock
        self._actor = actor
        self._patience_seconds = patience_seconds
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._broken: Broken | None = None
        self._connection = connect(url)
        self._writer = GroupWriter(self._commit, self._recovered)

    # -- the port -----------------------------------------------------------------------------

    def read(self, work: Callable[[Reader], T]) -> T:
        while True:
            with self._reader() as (connection, fresh):
                try:
                    return _snapshot(connection, work)
                except psycopg.Error as error:
                    trouble = translate(error)
                    # An idle connection may have died long ago; a new one tells the truth.
                    if fresh or not connection.closed:
                        raise trouble or error from error

    def write(self, work: Callable[[Transaction], T]) -> T:
        result: T = self._writer.call(work)
        return result

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        return self._writer.submit(work)

    def attend(self, _call_soon: object) -> None:
        """Nothing: a commit over a network would keep the thread from its other work."""

    def migrate(self) -> int:
        self.write(lambda tx: tx.run(migration.LEDGER))
        applied = 0
        while self.write(lambda tx: migration.apply_next(tx, self.dialect)):
            applied += 1
        return applied

    def check(self) -> list[str]:
        problems = self.read(_damage)
        fsync = self.read(lambda db: db.one("SELECT current_setting('fsync')"))
        if fsync is not None and fsync[0] != "on":
            problems.append("The server runs with fsync off: a power loss will damage it.")
        return problems

    def recover(self) -> None:
        self._writer.submit(None).result()

    def close(self) -> None:
        if not self._writer.close():
            return
        self._connection.close()
        while not self._idle.empty():
            self._idle.get_nowait().close()

    # -- readers ------------------------------------------------------------------------------

    @contextmanager
    def _reader(self) -> Iterator[tuple[Connection, bool]]:
        """A connection for one read, and whether it is new."""
        if self._writer.closed:
            raise closed()
        try:
            connection, fresh = self._idle.get_nowait(), False
        except queue.Empty:
            connection, fresh = connect(self._url), True
        try:
            yield connection, fresh
        finally:
            idle = connection.info.transaction_status == TransactionStatus.IDLE
            if idle and self._idle.qsize() < IDLE_READERS and not self._writer.closed:
                self._idle.put(connection)
            else:
                connection.close()

    # -- the writer ---------------------------------------------------------------------------

    def _commit(self, group: list[Work]) -> None:
        """Runs a group as one transaction; each for itself when one of them undid the group."""
        if self._broken is not None:
            trouble: MainspringError | None = self._broken
        else:
            trouble = self._attempt(group)
        if trouble is None:
            return
        if len(group) > 1 and trouble.code == "database.full":
            for item in group:
                self._commit([item])
            return
        if isinstance(trouble, Broken):
            self._broken = trouble
        for item in group:
            item.result, item.error = None, trouble

    def _attempt(self, group: list[Work]) -> MainspringError | None:
        """What kept the group from being committed, after as many attempts as make sense."""
        for _ in range(ATTEMPTS):
            try:
                number = self._begin()
                self._transact(group)
            except Unavailable as error:  # there is no connection to be had
                return error
            except psycopg.Error as error:
                gone = self._connection.closed
                self._roll_back()
                if not gone and not isinstance(error, _AGAIN):
                    return translate(error) or _refused(error)
            else:
                return self._finish(number)
        return away("the transaction was undone by others again and again")

    def _begin(self) -> str:
        """The number of a new transaction that no other writer runs beside."""
        try:
            self._connection.execute("BEGIN")
        except psycopg.OperationalError:  # it died while it was idle, and nothing was begun
            self._connection.close()
            self._connection = connect(self._url)
            self._connection.execute("BEGIN")
        self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        row = self._connection.execute("SELECT pg_current_xact_id()::text").fetchone()
        return str(row[0]) if row else ""

    def _transact(self, group: list[Work]) -> None:
        tx = PostgresTransaction(self._connection, self._clock, self._actor)
        for item in group:
            self._run(item, tx)

    def _run(self, item: Work, tx: PostgresTransaction) -> None:
        """One piece of work inside its own savepoint."""
        connection = self._connection
        item.result = item.error = None
        connection.execute("SAVEPOINT work")
        try:
            item.result = item.run(tx) if item.run else None
        except psycopg.Error as error:
            if isinstance(error, _AGAIN) or translate(error) is not None:
                raise
            item.error = error
        except BaseException as error:  # noqa: BLE001 - handed to the caller who waits for it
            item.error = error
        if connection.info.transaction_status == TransactionStatus.INERROR and item.error is None:
            item.error = errors.InFailedSqlTransaction("the work hid the error of a statement")
        if item.error is not None:
            connection.execute("ROLLBACK TO SAVEPOINT work")
        connection.execute("RELEASE SAVEPOINT work")

    def _finish(self, number: str) -> MainspringError | None:
        """What kept the transaction from being committed, as far as the server can tell."""
        try:
            self._connection.execute("COMMIT")
        except psycopg.Error as error:
            if not self._connection.closed:
                self._roll_back()
                return translate(error) or _refused(error)
            return self._outcome(number, error)
        return None

    def _outcome(self, number: str, error: psycopg.Error) -> MainspringError | None:
        """What became of a commit whose answer was lost."""
        until = time.monotonic() + self._patience_seconds
        while time.monotonic() < until:
            try:
                self._connection.close()
                self._connection = connect(self._url)
                sql = "SELECT pg_xact_status(%s::xid8)"
                row = self._connection.execute(sql, (number,)).fetchone()
                if row and row[0] == "committed":
                    return None
                if row and row[0] == "aborted":
                    return away(str(error))
            except errors.InvalidParameterValue:  # a number that is not given yet: after a crash
                return away(str(error))
            except (Unavailable, psycopg.Error):
                pass  # it is starting
            time.sleep(0.1)  # or still at it
        return Unavailable(
            "database.unknown",
            "The server went away in the middle of a commit and did not come back in time.",
            hint="It may have been written or not: look before you repeat it.",
        )

    def _roll_back(self) -> None:
        with suppress(psycopg.Error):
            self._connection.execute("ROLLBACK")

    def _recovered(self) -> Broken | None:
        """Lifts the fence once a new connection is to be had and the server finds no damage."""
        self._connection.close()
        self._connection = connect(self._url)
        problems = _snapshot(self._connection, _damage)
        self._broken = Broken("database.broken", " ".join(problems)) if problems else None
        return self._broken


def _snapshot(connection: Connection, work: Callable[[Reader], T]) -> T:
    """The result of work on one moment of the database, which it cannot change."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        return work(PostgresReader(connection))
    finally:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")


def _damage(db: Reader) -> list[str]:
    """What the server knows to be damaged."""
    problems = [
        f"Index {row[0]} is not valid."
        for row in db.all("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    ]
    failed = db.one(
        "SELECT coalesce(checksum_failures, 0) FROM pg_stat_database "
        "WHERE datname = current_database()"
    )
    if failed and failed[0]:
        problems.append(f"{failed[0]} pages failed their checksum.")
    return problems


def _refused(error: psycopg.Error) -> Broken:
    return Broken("database.broken", f"The database refused to commit ({error}).")
