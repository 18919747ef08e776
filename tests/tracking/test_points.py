from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.postgres_server import PostgresServer
from tracking_workspace import Counting

from mainspring._adapters.sql import migration
from mainspring._adapters.sql.tracking_blocks import BLOCK, blocks_after, rows_after
from mainspring._adapters.sql.tracking_histories import parts, read
from mainspring._adapters.sql.tracking_points import PointWriter, Sizes
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring._bootstrap.tracking import open_tracking
from mainspring.ports.database import Database
from mainspring.testing.clock import FakeClock
from mainspring.testing.objects import MemoryObjects
from mainspring.tracking import Batch, Point, Tracking
from mainspring.tracking.columns import Ordered, nothing

SMALL = Sizes(block=8, piece=4, pieces=3, first=5)
FIELD = 7
M = {"m": FIELD}
VALUES = st.sampled_from([(0.0, 0), (-0.0, 0), (1.5, 0), (-2.0, 0), (0.0, 1)])
SOME = st.integers(0, 30)
BATCHES = st.lists(
    st.tuples(
        st.integers(0, 1),  # which of two writers, that do not know of each other
        st.lists(st.tuples(SOME, SOME, VALUES), min_size=1, max_size=40),
        st.integers(0, 100),  # later than the batch before by as much
    ),
    max_size=12,
)
numbers = count(1)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    database = SqliteDatabase(":memory:", FakeClock())
    database.migrate()
    yield database
    database.close()


def points_of(points: Sequence[Ordered]) -> list[Point]:
    return [Point("m", math.nan if nan else v, step, at) for at, step, v, nan in points]


@given(BATCHES)
def test_a_history_is_what_was_logged_in_order_once_each(
    database: Database, batches: list[tuple[int, list[Any], int]]
) -> None:
    """Whatever comes in whatever order, twice or by two servers: a set, sorted, in any pages."""
    run, logged, later = next(numbers), set[Ordered](), 0
    writers = [PointWriter(SMALL), PointWriter(SMALL)]
    for writer, some, gap in batches:
        later += gap
        points = [(later + time_ms, step, *value) for time_ms, step, value in some]
        came = points_of(points)
        database.write(lambda tx, w=writer, came=came: writers[w].add(tx, run, came, M))
        logged.update(points)
        check(database, run, sorted(logged))


def check(database: Database, run: int, expected: list[Ordered]) -> None:
    def whole(reader: Any) -> None:
        found = nothing()
        for part in parts(reader, (run, FIELD)):
            found.extend(part)
        assert found.rows() == expected
        blocks = blocks_after(reader, (run, FIELD), None, 10_000)
        for block, following in pairwise(blocks):
            assert block.first <= block.last < following.first
        seen: list[Ordered] = []
        while page := read(reader, (run, FIELD), after=seen[-1] if seen else None, limit=7).rows():
            seen += page
        assert seen == expected

    database.read(whole)


def shuffled(count: int) -> list[int]:
    order = list(range(count))
    random.Random(7).shuffle(order)
    return order


ORDERS: dict[str, Callable[[int], list[int]]] = {
    "in order": lambda count: list(range(count)),
    "backwards": lambda count: list(range(count))[::-1],
    "two in turn": lambda count: [i // 2 + (i % 2) * count for i in range(count)],
    "shuffled": shuffled,
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("at_once", [1, 3, 40])
def test_no_write_costs_more_because_there_is_much_already(
    database: Database, order: str, at_once: int
) -> None:
    """Rows and statements of the dearest write are as many after 4,000 points as after 1,000."""
    run, writer = next(numbers), PointWriter(SMALL)
    times, most = ORDERS[order](4_000), [(0, 0), (0, 0)]
    for start in range(0, len(times), at_once):
        some = points_of([(time, 0, 1.0, 0) for time in times[start : start + at_once]])

        def work(tx: Any, some: Any = some) -> tuple[int, int]:
            counting = Counting(tx)
            writer.add(counting, run, some, M)
            return counting.calls, counting.rows

        late = start >= 1_000
        calls, rows = database.write(work)
        most[late] = (max(most[late][0], calls), max(most[late][1], rows))
    assert most[1][0] <= most[0][0] + 8
    assert most[1][1] <= most[0][1] + 4 * SMALL.block
    check(database, run, sorted((time, 0, 1.0, 0) for time in times))
    loose = database.read(lambda reader: len(rows_after(reader, (run, FIELD), None, 10_000)))
    blocks = database.read(lambda reader: len(blocks_after(reader, (run, FIELD), None, 10_000)))
    assert loose <= (2_000 if order == "shuffled" else 4 * SMALL.block + at_once)
    assert blocks <= 1.25 * 4_000 / SMALL.block


def test_a_first_read_fetches_blocks_and_not_points(tracking: Tracking) -> None:
    """A hundred thousand points, nothing kept in memory: few statements, few rows."""
    run = tracking.runs.create("0")
    total = 100_000

    def log(points: Sequence[Point]) -> None:
        tracking.runs.log(run.id, Batch(points=tuple(points)), most_points=total).result()

    points = [Point("m", i / 7, i, i // 3) for i in range(total)]
    log(points[:60_000])
    for start in range(60_000, 98_000, 1_000):
        log(points[start : start + 1_000])
    for start in range(98_000, total, 5):
        log(points[start : start + 5])
    fresh = open_tracking(tracking.runs.database, MemoryObjects(), FakeClock())

    def first(reader: Any) -> tuple[int, int, int]:
        counting = Counting(reader)
        place = fresh.runs.store.place(counting, run.id)
        assert place is not None
        found = fresh.runs.store.history(counting, place, "m", after=None, limit=total)
        assert found.points("m") == tuple(points)
        return counting.calls, counting.rows, len(found.steps)

    calls, rows, found = tracking.runs.database.read(first)
    assert found == total
    assert calls < 10
    assert rows < 2 * BLOCK + 200


class Failing(Counting):
    """A transaction whose statements fail after so many."""

    def __init__(self, tx: Any, good: int) -> None:
        super().__init__(tx)
        self.good = good

    def _next(self) -> None:
        if self.calls >= self.good:
            raise OSError

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self._next()
        return super().all(sql, values)

    def one(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        self._next()
        return super().one(sql, values)

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        self._next()
        return super().run(sql, values)

    def many(self, sql: str, rows: Any) -> None:
        self._next()
        super().many(sql, rows)


def test_a_write_that_fails_while_it_packs_changes_nothing(database: Database) -> None:
    """Each statement of each write fails once: it is undone whole, and the next try stores it."""
    run, writer, logged, failures = next(numbers), PointWriter(SMALL), list[Ordered](), 0
    for batch in range(120):
        points = [(3 * batch + i, 0, 1.0, 0) for i in range(6 if batch % 7 == 0 else 3)]
        some, good, done = points_of(points), 0, False
        while not done:
            try:
                database.write(lambda tx, g=good, s=some: writer.add(Failing(tx, g), run, s, M))
                done = True
            except OSError:
                failures += 1
                good += 1
                check(database, run, sorted(set(logged)))
        logged += points
    check(database, run, sorted(set(logged)))
    blocks = database.read(lambda reader: blocks_after(reader, (run, FIELD), None, 1_000))
    assert len(blocks) > 10
    assert failures > 200


def test_blocks_of_few_points_are_made_one(database: Database) -> None:
    """Many small batches of a metric are few blocks in the end."""
    run, writer = next(numbers), PointWriter()
    for batch in range(200):
        some = points_of([(batch, step, 1.0, 0) for step in range(20)])
        database.write(lambda tx, some=some: writer.add(tx, run, some, M))
    blocks = database.read(lambda reader: blocks_after(reader, (run, FIELD), None, 1_000))
    assert len(blocks) < 30


def test_metrics_that_are_logged_together_are_packed_in_turn(database: Database) -> None:
    """Three hundred metrics have enough rows at the same moment; no write packs them all."""
    sizes = Sizes(block=64, piece=4, pieces=3, first=5)
    run, writer, fields = next(numbers), PointWriter(sizes), {str(i): i for i in range(300)}
    most = 0
    for time in range(300):
        some = [Point(key, 1.0, 0, time) for key in fields]

        def work(tx: Any, some: Any = some) -> int:
            counting = Counting(tx)
            writer.add(counting, run, some, fields)
            return counting.calls

        most = max(most, database.write(work))
    assert most < len(fields)
    for field in fields.values():
        series = (run, field)
        loose = database.read(lambda reader, s=series: len(rows_after(reader, s, None, 1_000)))
        assert loose < 2 * sizes.block + 30


def test_more_series_than_are_remembered_are_packed_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points that come one at a time to more metrics than the writer counts do not stay rows."""
    monkeypatch.setattr("mainspring._adapters.sql.tracking_points.MOST_KNOWN", 10)
    run, writer, fields = next(numbers), PointWriter(SMALL), {str(i): i for i in range(30)}
    for time in range(400):
        some = [Point(str(field), 1.0, 0, time) for field in range(30)]
        database.write(lambda tx, some=some: writer.add(tx, run, some, fields))
    for field in range(30):
        series = (run, field)
        loose = database.read(lambda reader, s=series: len(rows_after(reader, s, None, 1_000)))
        assert loose < 80


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def older(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database of the schema before blocks."""
    real = migration.migrations()
    old = tuple(one for one in real if one.name < "0010")
    database: Database
    if request.param == "sqlite":
        database = SqliteDatabase(":memory:", FakeClock())
    else:
        from mainspring._adapters.postgres.database import PostgresDatabase

        server: PostgresServer = request.getfixturevalue("postgres")
        database = PostgresDatabase(server.fresh(), FakeClock())
    with monkeypatch.context() as patch:
        patch.setattr(migration, "migrations", lambda: old)
        assert database.migrate() == len(old)
    yield database
    database.close()


def test_points_of_an_older_workspace_are_packed(older: Database) -> None:
    """All points are there after the migration, in order; long histories lie in blocks."""
    long = [(i * 7919 % 9_973, i, 0.0 if i % 50 == 0 else i / 7, i % 50 == 0) for i in range(9_000)]
    short = [(5 - i, i, 1.0, False) for i in range(5)]
    sql = "INSERT INTO metrics (run, field, time_ms, step, value, nan) VALUES (?,?,?,?,?,?)"
    rows = [(1, 1, *row[:3], int(row[3])) for row in long] + [(2, 1, *row) for row in short]
    older.write(lambda tx: tx.many(sql, rows))
    older.migrate()
    for run, points, loose in ((1, long, 0), (2, short, 5)):
        series = (run, 1)
        found = older.read(lambda reader, s=series: read(reader, s, limit=100_000))
        assert found.rows() == sorted((*row[:3], int(row[3])) for row in points)
        assert len(older.read(lambda reader, s=series: rows_after(reader, s, None, 10))) == loose
    assert sum(map(math.isnan, older.read(lambda r: read(r, (1, 1), limit=100_000)).values)) == 180
