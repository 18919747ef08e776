"""PostgreSQL keeps the same promises, also when the server goes away and comes back."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests import needs
from tests.postgres_server import running

psycopg = needs.module("psycopg")

from mainspring._adapters.postgres.connection import in_its_words  # noqa: E402
from mainspring._adapters.postgres.database import PostgresDatabase  # noqa: E402
from mainspring._adapters.sql import migration  # noqa: E402
from mainspring._adapters.sql.event_log import SqlEventLog, SqlReferenceIndex  # noqa: E402
from mainspring._adapters.sql.queue import SqlQueue  # noqa: E402
from mainspring.core.errors import MainspringError  # noqa: E402
from mainspring.core.events import EventKind, Fact, Ref  # noqa: E402
from mainspring.governance import check_index, rebuild_index, upstream, verify  # noqa: E402
from mainspring.testing import DatabaseSuite, FakeClock, QueueSuite  # noqa: E402

INSERT = "INSERT INTO t (n) VALUES (?)"


@pytest.fixture(scope="module")
def server():
    with running() as server:
        yield server


@pytest.fixture
def url(server):
    """A fresh database on the server."""
    return server.fresh()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def database(url, clock):
    opened = PostgresDatabase(url, clock)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def table(database):
    database.write(lambda tx: tx.run("CREATE TABLE t (n BIGINT)"))
    return database


@pytest.fixture
def queue(database, clock):
    return SqlQueue(database, clock)


def _numbers(database):
    return [row[0] for row in database.read(lambda db: db.all("SELECT n FROM t ORDER BY n"))]


def _code(act):
    with pytest.raises(MainspringError) as caught:
        act()
    return caught.value.code


@pytest.mark.services
class TestPostgresDatabase(DatabaseSuite):
    """The database port on a server."""


@pytest.mark.services
class TestPostgresQueue(QueueSuite):
    """The queue port on it."""


def test_common_sql_in_its_words():
    """Only question marks outside quotes are values, and per cent signs stay themselves."""
    sql = "SELECT '?%', \"a?\" FROM t WHERE a LIKE ? AND b % 2 = ?"
    wanted = "SELECT '?%%', \"a?\" FROM t WHERE a LIKE %s AND b %% 2 = %s"
    assert in_its_words(sql) == wanted


@pytest.mark.services
def test_values_are_what_sqlite_gives(table):
    """Sums are integers, booleans go into integer columns, bytes and text come back."""
    table.write(lambda tx: tx.many(INSERT, [(2**62,), (True,)]))
    assert table.read(lambda db: db.one("SELECT sum(n) FROM t")) == (2**62 + 1,)
    assert table.read(lambda db: db.one("SELECT avg(n) FROM t WHERE n = 1")) == (1,)
    assert table.read(lambda db: db.one("SELECT avg(n) + 0.5 FROM t WHERE n = 1")) == (1.5,)
    kinds = "SELECT CAST(-0.1 AS DOUBLE PRECISION), sum(-n), CAST(3 AS SMALLINT), NULL, 'é' FROM t"
    assert table.read(lambda db: db.one(kinds)) == (-0.1, -(2**62) - 1, 3, None, "é")
    table.write(lambda tx: tx.run("CREATE TABLE b (x BYTEA, y TEXT)"))
    table.write(lambda tx: tx.run("INSERT INTO b VALUES (?, ?)", (b"\x00\xff", "é")))
    assert table.read(lambda db: db.one("SELECT x, y FROM b")) == (b"\x00\xff", "é")


@pytest.mark.services
def test_two_processes_make_one_chain(url):
    """Writers in different processes share one record without a gap or a fork."""
    databases = [PostgresDatabase(url, FakeClock()) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        applied = list(pool.map(lambda database: database.migrate(), databases))
    assert sum(applied) == len(migration.migrations())

    def write(number):
        fact = Fact(
            kind=EventKind("test.x"),
            subject=Ref(f"run:{number}"),
            used=(Ref("dataset:d"),),
            generated=(Ref(f"model:m/{number}"),),
        )
        return databases[number % 3].write(lambda tx: tx.announce(fact))

    with ThreadPoolExecutor(12) as pool:
        sequences = list(pool.map(write, range(150)))
    assert sorted(sequences) == list(range(1, 151))
    read = databases[0].read
    assert read(lambda db: verify(SqlEventLog(db))).ok
    assert read(lambda db: check_index(SqlEventLog(db))) == []
    assert databases[0].write(lambda tx: rebuild_index(SqlReferenceIndex(tx))) == 150
    graph = read(lambda db: upstream(SqlEventLog(db), Ref("model:m/7")))
    assert {node.ref for node in graph.nodes} == {"model:m/7", "run:7", "dataset:d"}
    for database in databases:
        database.close()


@pytest.mark.services
def test_a_server_that_restarts_is_found_again(table, server):
    """While it is away reads and writes are refused; afterwards both go on by themselves."""
    table.write(lambda tx: tx.run(INSERT, (1,)))
    server.stop()
    try:
        assert _code(lambda: table.read(lambda db: db.one("SELECT 1"))) == "database.unavailable"
        assert _code(lambda: table.write(lambda tx: tx.run(INSERT, (2,)))) == "database.unavailable"
    finally:
        server.start()
    table.write(lambda tx: tx.run(INSERT, (3,)))
    assert _numbers(table) == [1, 3]


@pytest.mark.services
def test_a_crashing_server_loses_nothing_acknowledged(table, server):
    """The server dies at random under eight writers, twice: acked missing 0, refused present 0."""
    acked, refused = set(), set()
    stop = threading.Event()

    def write(first):
        number = first
        while not stop.is_set():
            try:
                table.write(lambda tx, n=number: tx.run(INSERT, (n,)))
                acked.add(number)
            except MainspringError as error:
                if error.code == "database.unavailable":
                    refused.add(number)
            number += 8

    threads = [threading.Thread(target=write, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        target = len(acked) + 300
        while len(acked) < target:
            stop.wait(0.01)
        server.stop("immediate")
        server.start()
    stop.set()
    for thread in threads:
        thread.join(30)
    rows = _numbers(table)
    assert len(rows) == len(set(rows))
    assert acked <= set(rows)
    assert not refused & set(rows)


@pytest.mark.services
def test_a_lost_connection_is_taken_up_again(table):
    """An administrator who ends our connections costs no write."""
    table.read(lambda db: db.one("SELECT 1"))
    with psycopg.connect(table._url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'mainspring'"
        )
    table.write(lambda tx: tx.run(INSERT, (1,)))
    assert _numbers(table) == [1]


@pytest.mark.services
def test_an_unknown_commit_is_looked_up(table):
    """When the answer to a commit is lost, the server's own record says what became of it."""

    class Losing:
        """A connection that is cut before or after its COMMIT."""

        def __init__(self, connection, *, before):
            self.connection = connection
            self.before = before

        def execute(self, sql, *values, **options):
            if sql != "COMMIT":
                return self.connection.execute(sql, *values, **options)
            if not self.before:
                self.connection.execute(sql)
            self.connection.close()
            raise psycopg.OperationalError("the connection is lost")

        def __getattr__(self, name):
            return getattr(self.connection, name)

    table._connection = Losing(table._connection, before=False)
    table.write(lambda tx: tx.run(INSERT, (1,)))
    table._connection = Losing(table._connection, before=True)
    assert _code(lambda: table.write(lambda tx: tx.run(INSERT, (2,)))) == "database.unavailable"
    assert _numbers(table) == [1]


@pytest.mark.services
def test_deadlocks_are_run_again(table):
    """A piece of work that loses to another program's lock is repeated, and counted once."""
    table.write(lambda tx: tx.many(INSERT, [(1,), (2,)]))
    with psycopg.connect(table._url) as other:
        other.execute("UPDATE t SET n = n WHERE n = 2")
        began = threading.Event()

        def work(tx):
            tx.run("UPDATE t SET n = n WHERE n = 1")
            began.set()
            tx.run("UPDATE t SET n = 20 WHERE n = 2")

        future = table.submit(work)
        assert began.wait(30)
        try:
            other.execute("UPDATE t SET n = n WHERE n = 1")
        except psycopg.errors.DeadlockDetected:
            other.rollback()
        other.commit()
    future.result(30)
    assert _numbers(table) == [1, 20]


@pytest.mark.services
def test_a_wrong_address_is_unavailable():
    """No server at the address is an error of the port, and does not take long."""
    with pytest.raises(MainspringError) as caught:
        PostgresDatabase("postgresql://nobody@127.0.0.1:1/none", FakeClock())
    assert caught.value.code == "database.unavailable"
    assert sys.exc_info() == (None, None, None)


@pytest.mark.services
def test_asking_for_a_lost_commit_keeps_one_connection(url, clock):
    """While the server is still at a transaction it is asked again and again, by one connection."""
    database = PostgresDatabase(url, clock, patience_seconds=0.5)
    with psycopg.connect(url) as other:
        number = other.execute("SELECT pg_current_xact_id()::text").fetchone()[0]
        found = database._outcome(number, psycopg.OperationalError("the answer was lost"))
        assert found.code == "database.unknown"
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        deadline = time.monotonic() + 10  # a server's process takes its time to end
        while (open_ones := other.execute(count).fetchone()[0]) > 2:
            assert time.monotonic() < deadline, open_ones
    database.close()


@pytest.mark.services
def test_a_commit_that_a_crash_wiped_out_is_known_at_once(url, clock):
    """A number that the recovered server has yet to give was never committed."""
    database = PostgresDatabase(url, clock, patience_seconds=30)
    begun = time.monotonic()
    found = database._outcome(str(10**9), psycopg.OperationalError("the answer was lost"))
    assert found.code == "database.unavailable"
    assert time.monotonic() - begun < 10
    database.close()
