"""Metadata, events and the queue: one relational database with one writer.

SQL is the common part of SQLite and PostgreSQL, with ``?`` for values. Only
:mod:`mainspring._adapters.sql` writes statements; stages see their own storage protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Literal, Protocol, TypeVar

from mainspring.core.actor import Actor
from mainspring.core.events import Fact

T = TypeVar("T")
Row = tuple[Any, ...]
Values = Sequence[Any]


class Reader(Protocol):
    """A consistent view of the database for the length of one call."""

    def all(self, sql: str, values: Values = ()) -> list[Row]:
        """Every row of a query."""
        ...

    def one(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a query, or None."""
        ...


class Transaction(Reader, Protocol):
    """Reads and writes that become durable together or not at all."""

    @property
    def actor(self) -> Actor:
        """Who acts, unless a fact names another."""
        ...

    def run(self, sql: str, values: Values = ()) -> int:
        """Runs a statement; the number of rows it changed."""
        ...

    def many(self, sql: str, rows: Iterable[Values]) -> None:
        """Runs a statement once for each row of values."""
        ...

    def announce(self, fact: Fact) -> int:
        """Appends a fact to the event record, in this transaction; its sequence number."""
        ...


class Database(Protocol):
    """Reads at once, writes one after the other, each durable before it is acknowledged.

    Concurrency: every method may be called from any thread. ``write`` and ``submit`` run their
    work on the writer, one at a time, in the order of arrival; several may share one commit
    (group commit), and each sees all that came before it. Work must not block on other work of
    the same database, and may be run again after a serialisation failure, so it must have no
    effect but its statements.
    Errors: ``database.unavailable`` (away; nothing was written), ``database.full`` (disk full;
    nothing was written, reads go on), ``database.broken`` (a failed fsync or a damaged file: writes
    stay refused until :meth:`recover`). What ``work`` raises undoes its own changes and no others.
    """

    dialect: Literal["sqlite", "postgres"]

    def read(self, work: Callable[[Reader], T]) -> T:
        """The result of ``work`` on a consistent snapshot."""
        ...

    def write(self, work: Callable[[Transaction], T]) -> T:
        """The result of ``work``, after its transaction is durable."""
        ...

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Like :meth:`write`, without waiting: the future resolves once it is durable."""
        ...

    def attend(self, call_soon: Callable[[Callable[[], None]], object] | None) -> None:
        """From now on the calling thread may commit what it submits by itself; None ends that.

        For an event loop, whose ``call_soon`` this is: a small commit on a quick disk costs it
        less than to wake another thread and to be woken again. It waits for nobody else's.
        """
        ...

    def migrate(self) -> int:
        """Brings the schema to this version, resumably; how many migrations were applied."""
        ...

    def check(self) -> list[str]:
        """What is wrong with the stored bytes; empty when nothing is."""
        ...

    def recover(self) -> None:
        """Reopens and verifies after ``database.broken``; raises again while it still is."""
        ...

    def close(self) -> None:
        """Finishes accepted work and lets go; later calls raise ``database.unavailable``."""
        ...
