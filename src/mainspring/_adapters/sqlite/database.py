"""SQLite as the database port: many readers, one writer thread, one fsync for all who wait.

The writer takes what is queued, runs each piece of work inside its own savepoint of one
transaction, commits once (WAL, ``synchronous=FULL``) and then answers all of them. While it waits
for the disk the next group gathers, so throughput grows with the number of waiters and a lone
caller pays one fsync.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from mainspring._adapters.sql import migration
from mainspring._adapters.sqlite.connection import (
    SqliteReader,
    SqliteTransaction,
    close_quietly,
    connect,
    translate,
)
from mainspring.core.errors import Broken, MainspringError, Unavailable
from mainspring.ports.clock import Clock
from mainspring.ports.database import Reader, Transaction

T = TypeVar("T")
GROUP: Final = 512  # most pieces of work in one commit
IDLE_READERS: Final = 16


class _Work:
    """A piece of work on its way through the writer, and what came of it."""

    __slots__ = ("error", "future", "result", "run")

    def __init__(self, run: Callable[[Transaction], Any] | None) -> None:
        self.run = run  # None asks the writer to recover
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class _UndoneError(sqlite3.Error):
    """SQLite undid the whole transaction while a piece of work ran and hid that from us."""


class SqliteDatabase:
    """A database in one file, or in memory when the path is ``:memory:``."""

    dialect: Literal["sqlite", "postgres"] = "sqlite"

    def __init__(self, path: str | Path, clock: Clock) -> None:
        self._path = str(path)
        self._clock = clock
        self._memory = self._path == ":memory:"
        self._alone = threading.RLock()  # in memory there is one connection for all
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._broken: Broken | None = None
        self._closed = False
        self._accepting = threading.Lock()  # so that nothing is queued behind the last
        self._connection = self._open()
        self._thread = threading.Thread(target=self._serve, name="mainspring-writer", daemon=True)
        self._thread.start()

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
        return self.submit(work).result()

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        return self._enqueue(_Work(work)).future

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
        self._enqueue(_Work(None)).future.result()

    def close(self) -> None:
        with self._accepting:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        close_quietly(self._connection)
        while not self._readers.empty():
            close_quietly(self._readers.get_nowait())

    # -- readers ------------------------------------------------------------------------------

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        if self._closed:
            raise _closed()
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
            if self._readers.qsize() < IDLE_READERS and not self._closed:
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

    def _enqueue(self, item: _Work) -> _Work:
        with self._accepting:
            if self._closed:
                raise _closed()
            self._queue.put(item)
        return item

    def _serve(self) -> None:
        while True:
            group, last = self._gather()
            # A future that was cancelled while it waited asks for nothing any more.
            group = [item for item in group if item.future.set_running_or_notify_cancel()]
            try:
                with self._alone:
                    self._serve_group(group)
            except BaseException as error:  # noqa: BLE001 - the writer's edge: callers must not wait for ever
                self._broken = Broken("database.broken", f"The writer failed ({error!r}).")
                for item in group:
                    item.error = self._broken
            for item in group:
                item.answer()
            if last:
                return

    def _gather(self) -> tuple[list[_Work], bool]:
        """Waits for the first piece of work, then takes what else has arrived; whether it ends."""
        item = self._queue.get()
        group: list[_Work] = []
        while item is not None:
            group.append(item)
            if len(group) == GROUP:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _serve_group(self, group: list[_Work]) -> None:
        """Commits what stands between two wishes to recover together."""
        together: list[_Work] = []
        for item in group:
            if item.run is not None:
                together.append(item)
                continue
            self._commit(together)
            together = []
            if self._broken is not None and not self._reopen():
                item.error = self._broken
        self._commit(together)

    def _commit(self, group: list[_Work]) -> None:
        """Runs a group as one transaction; each for itself when one of them undid the group."""
        if not group:
            return
        if self._broken is not None:
            for item in group:
                item.error = self._broken
            return
        try:
            self._transact(group)
        except sqlite3.Error as error:
            trouble = self._rolled_back(error)
            if len(group) > 1 and not isinstance(trouble, Broken):
                for item in group:
                    self._commit([item])
                return
            for item in group:
                item.result, item.error = None, trouble

    def _transact(self, group: list[_Work]) -> None:
        connection = self._connection
        tx = SqliteTransaction(connection, self._clock)
        connection.execute("BEGIN IMMEDIATE")
        for item in group:
            self._run(item, tx)
        connection.execute("COMMIT")

    def _run(self, item: _Work, tx: SqliteTransaction) -> None:
        """One piece of work inside its own savepoint."""
        connection = self._connection
        item.result = item.error = None
        connection.execute("SAVEPOINT work")
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
        if item.error is not None:
            connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")

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

    def _reopen(self) -> bool:
        """Whether a fresh connection finds the file whole and can bring the log home.

        After a failed fsync the tail of the log may exist in memory only. Checkpointing all of
        it, with its own fsync, makes the file complete without the log.
        """
        try:
            if not self._memory:
                close_quietly(self._connection)
                self._connection = connect(self._path)
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
            return False
        self._broken = None
        return True


def _closed() -> Unavailable:
    return Unavailable(
        "database.unavailable", "The database is closed.", hint="Open the workspace again."
    )
