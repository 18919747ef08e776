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

    def __init__(self, run: Callable[[Transaction], Any]) -> None:
        self.run = run
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


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
        if self._closed:
            raise Unavailable(
                "database.unavailable", "The database is closed.", hint="Open the workspace again."
            )
        item = _Work(work)
        self._queue.put(item)
        return item.future

    def migrate(self) -> int:
        self.write(lambda tx: tx.run(migration.LEDGER))
        applied: dict[str, str] = dict(
            self.read(lambda db: db.all("SELECT name, digest FROM migrations"))
        )
        todo = migration.pending(applied)
        for step in todo:
            self.write(lambda tx, step=step: migration.apply(tx, step, self.dialect))  # type: ignore[misc]
        return len(todo)

    def check(self) -> list[str]:
        rows = self.read(lambda db: db.all("PRAGMA quick_check(20)"))
        rows += self.read(lambda db: db.all("PRAGMA foreign_key_check"))
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def recover(self) -> None:
        self.write(lambda _tx: None)

    def close(self) -> None:
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
            raise Unavailable(
                "database.unavailable", "The database is closed.", hint="Open the workspace again."
            )
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

    # -- the writer ---------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            group = self._gather()
            if group:
                with self._alone:
                    self._commit(group)
                for item in group:
                    item.answer()
            if self._closed and self._queue.empty():
                return

    def _gather(self) -> list[_Work]:
        """Waits for the first piece of work, then takes what else has arrived."""
        first = self._queue.get()
        group = [] if first is None else [first]
        while group and len(group) < GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is not None:
                group.append(item)
        return group

    def _commit(self, group: list[_Work]) -> None:
        """Runs a group as one transaction; alone, each for itself, when the group is undone."""
        if self._broken is not None and not self._reopen():
            for item in group:
                item.error = self._broken
            return
        try:
            self._transact(group)
        except sqlite3.Error as error:
            trouble = self._rolled_back(error)
            if len(group) > 1 and trouble.code == "database.full":
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
            item.result = item.error = None
            connection.execute("SAVEPOINT work")
            try:
                item.result = item.run(tx)
            except sqlite3.Error as error:
                if translate(error) is not None or not connection.in_transaction:
                    raise
                item.error = error
            except BaseException as error:  # noqa: BLE001 - handed to the caller who waits for it
                item.error = error
            if item.error is not None:
                connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")
        connection.execute("COMMIT")

    def _rolled_back(self, error: sqlite3.Error) -> MainspringError:
        """Undoes the transaction and says what happened; after I/O trouble, fences all writes."""
        trouble = translate(error) or Broken(
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
        if not self._memory:
            close_quietly(self._connection)
        try:
            if not self._memory:
                self._connection = connect(self._path)
            verdict = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            self._broken = Broken("database.broken", f"The database stays damaged ({error}).")
            return False
        if verdict[0] != "ok" or busy:
            return False
        self._broken = None
        return True
