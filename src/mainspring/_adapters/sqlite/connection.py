"""SQLite connections set up one way, and SQLite's errors as ours.

No memory map: an I/O error under one is a signal that ends the process, not an error.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from typing import Any, Final

from mainspring._adapters.sql import events
from mainspring._adapters.sql.writer import check_statement
from mainspring._adapters.sqlite import bulk
from mainspring.core.actor import SYSTEM, Actor
from mainspring.core.errors import Broken, MainspringError, Unavailable
from mainspring.core.events import Fact
from mainspring.ports.clock import Clock
from mainspring.ports.database import Row, Values

PATIENCE_SECONDS: Final = 10.0  # with other processes that write
_PAUSE_SECONDS: Final = 0.01
FEW: Final = 25  # fewer rows than this are not worth a statement of their own
_BUSY, _FULL, _IOERR, _CORRUPT, _NOTADB = 5, 13, 10, 11, 26


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; WAL with FULL, so a commit survives power loss.

    The file is private to its owner, and its log with it (SQLite copies the mode).
    """
    if path != ":memory:" and not read_only:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path,
        timeout=PATIENCE_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    if path != ":memory:":
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            mode = _journal_mode(connection)
            # Where the log cannot be used (network folders), only EXTRA survives power loss.
            connection.execute(f"PRAGMA synchronous = {'FULL' if mode == 'wal' else 'EXTRA'}")
            connection.execute("PRAGMA journal_size_limit = 67108864")
    return connection


def _journal_mode(connection: sqlite3.Connection) -> str:
    """The mode, WAL where the file can have it.

    Of several that turn a new file to WAL at once all but one are told that it is busy, without
    their patience being asked: each reads and wants to write, so waiting inside would never end.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != _BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return mode


def translate(error: sqlite3.Error) -> MainspringError | None:
    """Our error for one that tells of the disk or the file; None for a mistake in a statement."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if primary == _FULL:
        return Unavailable(
            "database.full",
            "The disk that holds the database is full; nothing was written.",
            hint="Free some space; writing goes on by itself.",
        )
    if primary in {_IOERR, _CORRUPT, _NOTADB}:
        return Broken(
            "database.broken",
            f"The database file could not be read or written safely ({error}).",
            hint="Writes stop until the file was reopened and verified; see 'mainspring doctor'.",
            engine_error=str(error),
        )
    if primary in {5, 6, 8, 14}:  # busy, locked, read-only, cannot open
        return Unavailable(
            "database.unavailable",
            f"The database cannot be written now ({error}).",
            hint="Is another program holding it, or is the folder read-only?",
            engine_error=str(error),
        )
    return None


class SqliteReader:
    """Statements on one connection, inside whatever transaction it is in."""

    __slots__ = ("connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def all(self, sql: str, values: Values = ()) -> list[Row]:
        return self.connection.execute(sql, values).fetchall()

    def one(self, sql: str, values: Values = ()) -> Row | None:
        row: Row | None = self.connection.execute(sql, values).fetchone()
        return row


class SqliteTransaction(SqliteReader):
    """Reads and writes on the writer's connection."""

    __slots__ = ("actor", "clock")

    def __init__(self, connection: sqlite3.Connection, clock: Clock, actor: Actor = SYSTEM) -> None:
        super().__init__(connection)
        self.clock = clock
        self.actor = actor

    def run(self, sql: str, values: Values = ()) -> int:
        check_statement(sql)
        return self.connection.execute(sql, values).rowcount

    def many(self, sql: str, rows: Iterable[Values]) -> None:
        rows = list(rows)
        start = 0
        for wide, values, size in bulk.statements(sql, rows) if len(rows) >= FEW else ():
            self.connection.execute(wide, values)
            start += size
        self.connection.executemany(sql, rows[start:] if start else rows)

    def announce(self, fact: Fact) -> int:
        return events.append(self, fact, self.clock)


def close_quietly(connection: sqlite3.Connection | Any) -> None:
    """Lets go of a connection whose file may be beyond help."""
    try:
        connection.close()
    except sqlite3.Error:
        return
