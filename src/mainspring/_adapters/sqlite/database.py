"""SQLite as the database port: many readers, one writer thread, one fsync for all who wait.

The writer takes what is queued, runs each piece of work inside its own savepoint of one
transaction, commits once (WAL, ``synchronous=FULL``) and then answers all of them.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeVar

from mainspring._adapters.sql import migration
from mainspring._adapters.sql.writer import CallSoon, GroupWriter, Work, closed
from mainspring._adapters.sqlite.connection import (
    PATIENCE_SECONDS,
    SqliteReader,
    SqliteTransaction,
    close_quietly,
    connect,
    translate,
)
from mainspring.core.actor import SYSTEM, Actor
from mainspring.core.errors import Broken, MainspringError, Unavailable
from mainspring.ports.clock import Clock
from mainspring.ports.database import Reader, Transaction

T = TypeVar("T")
IDLE_READERS: Final = 16


class _UndoneError(sqlite3.Error):
    """SQLite undid the whole transaction while a piece of work ran and hid that from us."""


class SqliteDatabase:
    """A database in one file, or in memory when the path is ``:memory:``.

    ``actor``: who acts, unless a fact names another.
    """

    dialect: Literal["sqlite", "postgres"] = "sqlite"

    def __init__(self, path: str | Path, clock: Clock, actor: Actor = SYSTEM) -> None:
        self._path = str(path)
        self._clock = clock
        self._actor = actor
        self._memory = self._path == ":memory:"
        self._alone = threading.RLock()  # in memory there is one connection for all
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._broken: Broken | None = None
        self._connection = self._open()
        self._is_patient = True
        # In memory a read would keep the thread at the desk waiting.
        now = None if self._memory else self._commit_now
        self._writer = GroupWriter(self._commit_alone, self._recovered, now)

    # -- the port -----------------------------------------------------------------------------

    def read(self, work: Callable[[Reader], T]) -> T:
        with self._reader() as connection:
            try:
                connection.execute("BEGIN")
                try:
                    return work(SqliteReader(connection))
                finally:
                    connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise translate(error) or error from error

    def write(self, work: Callable[[Transaction], T]) -> T:
        result: T = self._writer.call(work)
        return result

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        return self._writer.submit(work)

    def attend(self, call_soon: CallSoon | None) -> None:
        self._writer.attend(call_soon)

    def migrate(self) -> int:
        self.write(lambda tx: tx.run(migration.LEDGER))
        applied = 0
        # What is pending is asked in the transaction that applies it: others may migrate too.
        while self.write(lambda tx: migration.apply_next(tx, self.dialect)):
            applied += 1
        return applied

    def check(self) -> list[str]:
        try:
            rows = self.read(lambda db: db.all("PRAGMA integrity_check(100)"))
            strays = self.read(lambda db: db.all("PRAGMA foreign_key_check"))
        except Broken as error:
            return [error.message]
        return [str(row[0]) for row in rows if row[0] != "ok"] + [
            f"Row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there."
            for row in strays
        ]

    def recover(self) -> None:
        self._writer.submit(None).result()

    def close(self) -> None:
        if not self._writer.close():
            return
        close_quietly(self._connection)
        while not self._readers.empty():
            close_quietly(self._readers.get_nowait())

    # -- readers ------------------------------------------------------------------------------

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        if self._writer.closed:
            raise closed()
        if self._memory:
            with self._alone:
                yield self._connection
            return
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = self._open(read_only=True)
        try:
            yield connection
        finally:
            if self._readers.qsize() < IDLE_READERS and not self._writer.closed:
                self._readers.put(connection)
            else:
                close_quietly(connection)

    def _open(self, *, read_only: bool = False) -> sqlite3.Connection:
        try:
            return connect(self._path, read_only=read_only)
        except sqlite3.Error as error:
            raise translate(error) or error from error
        except OSError as error:
            raise Unavailable(
                "database.unavailable",
                f"The database file cannot be opened ({error}).",
                hint="Does the folder exist, and may it be written to?",
            ) from error

    # -- the writer ---------------------------------------------------------------------------

    def _commit_alone(self, group: list[Work]) -> None:
        with self._alone:
            self._commit(group)

    def _commit_now(self, group: list[Work]) -> bool:
        """Commits a group unless the transaction cannot begin at once: the writer may wait."""
        with self._alone:
            if self._broken is None:
                try:
                    self._wait_for_others(patiently=False)
                    self._connection.execute("BEGIN IMMEDIATE")
                except sqlite3.Error:
                    return False  # if it is more than another process, the writer meets it too
            self._commit(group, begun=True)
            return True

    def _wait_for_others(self, *, patiently: bool) -> None:
        """Whether a transaction of another process is waited for when one begins."""
        if self._is_patient != patiently:
            milliseconds = int(1e3 * PATIENCE_SECONDS) if patiently else 0
            self._connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
            self._is_patient = patiently

    def _recovered(self) -> Broken | None:
        with self._alone:
            if self._broken is not None:
                self._reopen()
            return self._broken

    def _commit(self, group: list[Work], *, begun: bool = False) -> None:
        """Runs a group as one transaction; each for itself when one of them undid the group."""
        if self._broken is not None:
            for item in group:
                item.error = self._broken
            return
        try:
            if not begun:
                self._wait_for_others(patiently=True)
                self._connection.execute("BEGIN IMMEDIATE")
            self._transact(group)
        except sqlite3.Error as error:
            trouble = self._rolled_back(error)
            if len(group) > 1 and not isinstance(trouble, Broken):
                for item in group:
                    self._commit([item])
                return
            for item in group:
                item.result, item.error = None, trouble

    def _transact(self, group: list[Work]) -> None:
        connection = self._connection
        tx = SqliteTransaction(connection, self._clock, self._actor)
        if len(group) == 1:
            # Alone, a piece of work needs no savepoint: it is the transaction.
            self._run(group[0], tx)
            connection.execute("ROLLBACK" if group[0].error is not None else "COMMIT")
            return
        for item in group:
            connection.execute("SAVEPOINT work")
            self._run(item, tx)
            if item.error is not None:
                connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")
        connection.execute("COMMIT")

    def _run(self, item: Work, tx: SqliteTransaction) -> None:
        """Runs one piece of work; its error stays its own unless it tells of the disk."""
        connection = self._connection
        item.result = item.error = None
        try:
            item.result = item.run(tx) if item.run else None
        except sqlite3.Error as error:
            if translate(error) is not None:
                raise
            item.error = error
        except BaseException as error:  # noqa: BLE001 - handed to the caller who waits for it
            item.error = error
        if not connection.in_transaction:
            raise _UndoneError(f"the transaction ended inside a piece of work: {item.error!r}")

    def _rolled_back(self, error: sqlite3.Error) -> MainspringError:
        """Undoes the transaction and says what happened; after I/O trouble, fences all writes."""
        trouble = translate(error)
        if isinstance(error, _UndoneError):
            trouble = Unavailable(
                "database.unavailable",
                f"Nothing was written: {error}.",
                hint="A statement must not begin or end a transaction, nor its error be hidden.",
            )
        if trouble is None:
            trouble = Broken(
                "database.broken",
                f"The database refused to commit ({error}).",
                hint="Writes stop until the file was reopened and verified.",
            )
        if isinstance(trouble, Broken):
            # SQLite reports a failed fsync once and would then accept every further commit.
            self._broken = trouble
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as again:
            self._broken = Broken("database.broken", f"A rollback failed ({again}).")
        return trouble

    def _reopen(self) -> None:
        """Lifts the fence once a fresh connection finds the file whole and brings the log home.

        After a failed fsync the tail of the log may exist in memory only. Checkpointing all of
        it, with its own fsync, makes the file complete without the log.
        """
        try:
            if not self._memory:
                close_quietly(self._connection)
                self._connection, self._is_patient = connect(self._path), True
            verdict = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            verdict, busy = str(error), 0
        if verdict != "ok" or busy:
            why = verdict if verdict != "ok" else "a reader is still at work; try again"
            self._broken = Broken(
                "database.broken",
                f"The database stays damaged ({why}).",
                hint="Restore the newest backup with 'mainspring restore'.",
            )
            return
        self._broken = None
