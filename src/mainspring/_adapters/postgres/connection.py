"""PostgreSQL connections set up one way, the common SQL in its words, its errors as ours."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format
from psycopg.types.numeric import NumericBinaryLoader

from mainspring._adapters.sql import events
from mainspring._adapters.sql.writer import check_statement
from mainspring.core.actor import SYSTEM, Actor
from mainspring.core.errors import Broken, Invalid, MainspringError, Unavailable
from mainspring.core.events import Fact
from mainspring.ports.clock import Clock
from mainspring.ports.database import Row, Values

Connection = psycopg.Connection[Row]
_AWAY: Final = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.TooManyConnections,
    errors.ConnectionFailure,
    errors.IdleInTransactionSessionTimeout,
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.ReadOnlySqlTransaction,
)
_DAMAGED: Final = (errors.IoError, errors.DataCorrupted, errors.IndexCorrupted)


class _WholeNumbers(Loader):
    """Sums of integers as integers: PostgreSQL calls them numeric."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int | float:
        number: Decimal = self._loader.load(data)
        return int(number) if number.as_tuple().exponent == 0 else float(number)

    _loader = NumericBinaryLoader(psycopg.adapters.types["numeric"].oid)


class _Flags(Dumper):
    """Booleans as 0 and 1: the common SQL keeps them in integer columns."""

    oid = psycopg.adapters.types["int4"].oid

    def dump(self, obj: bool) -> bytes:  # noqa: FBT001 - psycopg's own signature
        return b"1" if obj else b"0"


def connect(url: str) -> Connection:
    """A connection in autocommit mode whose commits are durable.

    Errors: ``database.unavailable``.
    """
    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=5, application_name="mainspring"
        )
    except psycopg.Error as error:
        raise translate(error) or away(str(error)) from error
    try:
        connection.execute("SET synchronous_commit = on")
        connection.execute("SET TimeZone = 'UTC'")
    except psycopg.Error as error:
        connection.close()  # the server let us in and ended
        raise translate(error) or away(str(error)) from error
    connection.adapters.register_loader("numeric", _WholeNumbers)
    connection.adapters.register_dumper(bool, _Flags)
    return connection


def away(why: str) -> Unavailable:
    """The server cannot be reached."""
    return Unavailable(
        "database.unavailable",
        f"PostgreSQL cannot be reached ({why.strip()[:300]}).",
        hint="Is the server up, and are address and password in MAINSPRING_DATABASE right?",
    )


def translate(error: psycopg.Error) -> MainspringError | None:
    """Our error for one that tells of the server, its disk or a value; None for a faulty statement."""
    if isinstance(error, errors.DiskFull):
        return Unavailable(
            "database.full",
            "The disk that holds the database is full; nothing was written.",
            hint="Free some space; writing goes on by itself.",
        )
    if isinstance(error, _DAMAGED):
        return Broken(
            "database.broken",
            f"PostgreSQL could not read or write its files safely ({error}).",
            hint="See the server's log; writes stop until 'mainspring doctor' finds it sound.",
        )
    if isinstance(error, psycopg.DataError):
        return Invalid(
            "database.bad_value",
            f"PostgreSQL cannot hold or look for this value ({str(error)[:200]}).",
            hint="Texts have no NUL characters, and numbers fit their columns.",
        )
    # Without a state the server said nothing: the connection is gone.
    if isinstance(error, _AWAY) or (
        isinstance(error, psycopg.OperationalError) and error.sqlstate is None
    ):
        return away(str(error))
    return None


@lru_cache(maxsize=4096)
def in_its_words(sql: str) -> str:
    """Common SQL for psycopg: ``?`` outside quotes becomes ``%s``, a per cent sign is doubled."""
    words: list[str] = []
    quote = ""
    for letter in sql:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        words.append("%%" if letter == "%" else "%s" if letter == "?" and not quote else letter)
    return "".join(words)


class PostgresReader:
    """Statements on one connection, inside whatever transaction it is in."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def all(self, sql: str, values: Values = ()) -> list[Row]:
        return self._execute(sql, values).fetchall()

    def one(self, sql: str, values: Values = ()) -> Row | None:
        return self._execute(sql, values).fetchone()

    def _execute(self, sql: str, values: Values) -> psycopg.Cursor[Row]:
        text: Any = in_its_words(sql)
        # As text, bytes come in hexadecimal, twice as long and three times as slow.
        return self.connection.execute(text, tuple(values), binary=True)


class PostgresTransaction(PostgresReader):
    """Reads and writes on the writer's connection."""

    __slots__ = ("actor", "clock")

    def __init__(self, connection: Connection, clock: Clock, actor: Actor = SYSTEM) -> None:
        super().__init__(connection)
        self.clock = clock
        self.actor = actor

    def run(self, sql: str, values: Values = ()) -> int:
        check_statement(sql)
        return self._execute(sql, values).rowcount

    def many(self, sql: str, rows: Iterable[Values]) -> None:
        text: Any = in_its_words(sql)
        with self.connection.cursor() as cursor:
            cursor.executemany(text, [tuple(row) for row in rows])

    def announce(self, fact: Fact) -> int:
        return events.append(self, fact, self.clock)
