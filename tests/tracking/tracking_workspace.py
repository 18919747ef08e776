"""The tracking stage on a database in memory, with a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring._bootstrap.tracking import open_tracking
from mainspring.ports.database import Database, Transaction
from mainspring.testing.clock import FakeClock
from mainspring.testing.objects import MemoryObjects
from mainspring.tracking import Tracking


@contextmanager
def opened(path: str = ":memory:", clock: FakeClock | None = None) -> Iterator[Tracking]:
    clock = clock or FakeClock()
    with over(SqliteDatabase(path, clock), clock) as tracking:
        yield tracking


@contextmanager
def over(database: Database, clock: FakeClock) -> Iterator[Tracking]:
    """The stage on a database that is closed afterwards."""
    try:
        database.migrate()
        yield open_tracking(database, MemoryObjects(), clock)
    finally:
        database.close()


class Counting:
    """A transaction that counts the calls that reach the database, and the rows they read."""

    def __init__(self, tx: Any) -> None:
        self.tx: Transaction = tx
        self.calls = 0
        self.rows = 0

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self.calls += 1
        found = self.tx.all(sql, values)
        self.rows += len(found)
        return found

    def one(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        self.calls += 1
        return self.tx.one(sql, values)

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        self.calls += 1
        return self.tx.run(sql, values)

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self.calls += 1
        self.tx.many(sql, rows)

    @property
    def actor(self) -> Any:
        return self.tx.actor

    def announce(self, fact: Any) -> int:
        return self.tx.announce(fact)


def fill(tracking: Tracking, runs: int, *, rare: int = 5, offset: int = 0) -> None:
    """Many runs with four metrics, two parameters and a tag each, straight into the tables."""
    fields = ["m:a", "m:b", "m:c", "m:flat", "m:none", "p:digit", "p:rare", "t:owner"]

    def work(tx: Transaction) -> None:
        tx.many(
            "INSERT INTO fields (name) VALUES (?) ON CONFLICT DO NOTHING", [(f,) for f in fields]
        )
        ids = dict(tx.all("SELECT name, id FROM fields"))
        rows, terms, latest = [], [], []
        for i in range(offset, offset + runs):
            number, start = 1_000_000 + i, 1_000_000 + i
            digit, odd = str((i * 7919) % 10), "yes" if i % (runs // rare) == 0 else "no"
            document = (
                f'{{"params":{{"digit":"{digit}","rare":"{odd}"}},"tags":{{"owner":"o{i % 3}"}}}}'
            )
            rows.append((number, f"r{i:08d}", 0, 0, f"n{i}", "", "FINISHED", start, document))
            terms += [
                (number, ids["p:digit"], 0, digit),
                (number, ids["p:rare"], 0, odd),
                (number, ids["t:owner"], 0, f"o{i % 3}"),
            ]
            for place, name in enumerate(("m:a", "m:b", "m:c"), start=1):
                value = (i * 104_729 * place) % 100_003 / 100_003
                latest.append((number, ids[name], 0, start, value, 0, 0, 0))
            latest.append((number, ids["m:flat"], 0, start, 1.0, 0, 0, 0))
        tx.many(
            "INSERT INTO runs (id, uuid, experiment, shelf, name, user_id, status, start_ms, "
            "artifact_uri, document) VALUES (?,?,?,?,?,?,?,?,'',?)",
            rows,
        )
        tx.many("INSERT INTO run_terms (run, field, shelf, value) VALUES (?,?,?,?)", terms)
        tx.many(
            "INSERT INTO latest (run, field, shelf, start_ms, value, nan, step, time_ms) "
            "VALUES (?,?,?,?,?,?,?,?)",
            latest,
        )

    tracking.runs.database.write(work)
