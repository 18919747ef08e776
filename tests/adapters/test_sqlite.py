"""SQLite on a file: the port's suites, and what only a file can break."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from mainspring._adapters.sql import migration
from mainspring._adapters.sql.queue import SqlQueue
from mainspring._adapters.sqlite.connection import connect
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.core.errors import Broken, Invalid, MainspringError, Unavailable
from mainspring.testing import DatabaseSuite, FakeClock, QueueSuite

INSERT = "INSERT INTO t (n) VALUES (?)"


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def database(tmp_path, clock):
    opened = SqliteDatabase(tmp_path / "db", clock)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def table(database):
    database.write(lambda tx: tx.run("CREATE TABLE t (n INTEGER)"))
    return database


@pytest.fixture
def queue(database, clock):
    return SqlQueue(database, clock)


def _numbers(database):
    return [row[0] for row in database.read(lambda db: db.all("SELECT n FROM t ORDER BY n"))]


class TestSqliteDatabase(DatabaseSuite):
    """The database port on a file."""


class TestSqliteQueue(QueueSuite):
    """The queue port on it."""


class _Breaking:
    """A connection whose COMMIT fails as a failed fsync does, while it is told to."""

    def __init__(self, connection, code):
        self.connection = connection
        self.code = code
        self.commits = 0

    def execute(self, sql, *values):
        if sql == "COMMIT":
            self.commits += 1
            if self.code:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = self.code
                raise error
        return self.connection.execute(sql, *values)

    def __getattr__(self, name):
        return getattr(self.connection, name)


def _error(act):
    with pytest.raises(MainspringError) as caught:
        act()
    return caught.value


def test_after_a_failed_fsync_nothing_is_written_until_recovered(table):
    """The first failure fences every later write, though SQLite itself would accept them."""
    table._connection = breaking = _Breaking(table._connection, sqlite3.SQLITE_IOERR_FSYNC)
    assert _error(lambda: table.write(lambda tx: tx.run(INSERT, (1,)))).code == "database.broken"
    breaking.code = 0
    for _ in range(3):
        error = _error(lambda: table.write(lambda tx: tx.run(INSERT, (2,))))
        assert error.code == "database.broken"
    assert breaking.commits == 1
    assert _numbers(table) == []
    table.recover()
    table.write(lambda tx: tx.run(INSERT, (3,)))
    assert _numbers(table) == [3]
    assert table.check() == []


def test_a_full_disk_is_not_a_broken_one(table):
    """When the disk is full nothing is written, and writing goes on once there is room."""
    table._connection = breaking = _Breaking(table._connection, sqlite3.SQLITE_FULL)
    assert _error(lambda: table.write(lambda tx: tx.run(INSERT, (1,)))).code == "database.full"
    assert _numbers(table) == []
    breaking.code = 0
    table.write(lambda tx: tx.run(INSERT, (2,)))
    assert _numbers(table) == [2]


def test_recovering_a_damaged_file_says_so(table, tmp_path):
    """A file whose pages were overwritten stays refused, and checking it names the damage."""
    table.write(lambda tx: tx.many(INSERT, ((n,) for n in range(50_000))))
    table.write(lambda tx: tx.run("CREATE INDEX by_n ON t (n)"))
    table._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "db"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096 * 4] = os.urandom(4096 * 4)
    path.write_bytes(data)
    reopened = SqliteDatabase(path, FakeClock())
    assert reopened.check()
    reopened._broken = Broken("database.broken", "as after a failed fsync")
    assert _error(reopened.recover).code == "database.broken"
    assert _error(lambda: reopened.write(lambda tx: tx.run(INSERT, (1,)))).code == "database.broken"
    reopened.close()


def test_waiters_share_a_commit(table):
    """Sixteen waiting writers cost far fewer than sixteen commits each."""
    table._connection = counting = _Breaking(table._connection, 0)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: table.write(lambda tx: tx.run(INSERT, (n,))), range(800)))
    assert _numbers(table) == list(range(800))
    assert counting.commits < 400


def test_work_that_ends_the_transaction_harms_nobody_else(table):
    """A piece of work that commits or rolls back by itself fails alone."""
    gate = threading.Event()
    first = table.submit(lambda tx: gate.wait(30))
    before = [table.submit(lambda tx, n=n: tx.run(INSERT, (n,))) for n in range(5)]
    bad = [
        table.submit(lambda tx: tx.run("COMMIT")),
        table.submit(lambda tx: tx.all("ROLLBACK")),
    ]
    after = [table.submit(lambda tx, n=n: tx.run(INSERT, (n,))) for n in range(5, 10)]
    gate.set()
    assert first.result(30)
    with pytest.raises(Invalid):
        bad[0].result(30)
    with pytest.raises(Unavailable):
        bad[1].result(30)
    assert [future.result(30) for future in before + after] == [1] * 10
    assert _numbers(table) == list(range(10))


def test_a_cancelled_future_does_not_stop_the_writer(table):
    """Work that is cancelled before it runs is not run, and the next is."""
    gate = threading.Event()
    table.submit(lambda tx: gate.wait(30))
    cancelled = table.submit(lambda tx: tx.run(INSERT, (1,)))
    assert cancelled.cancel()
    gate.set()
    table.write(lambda tx: tx.run(INSERT, (2,)))
    assert _numbers(table) == [2]


def test_no_work_is_lost_between_submitting_and_closing(tmp_path):
    """Every submit that was accepted gets an answer, however closely a close follows."""
    for attempt in range(30):
        database = SqliteDatabase(tmp_path / f"db{attempt}", FakeClock())
        futures: list[Future[int]] = []

        def submit(database=database, futures=futures):
            try:
                while True:
                    futures.append(database.submit(lambda tx: 1))
            except Unavailable:
                return

        threads = [threading.Thread(target=submit) for _ in range(2)]
        for thread in threads:
            thread.start()
        database.close()
        for thread in threads:
            thread.join(30)
        assert [future.result(30) for future in futures] == [1] * len(futures)


def test_files_are_private(database, tmp_path):
    """Nobody but the owner may read the database or its log."""
    database.write(lambda tx: tx.run("CREATE TABLE x (n INTEGER)"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes
    assert set(modes.values()) == {0o600}


def test_a_folder_that_is_not_there_is_unavailable(tmp_path):
    """A path that cannot be opened is an error of the port."""
    error = _error(lambda: SqliteDatabase(tmp_path / "no" / "db", FakeClock()))
    assert error.code == "database.unavailable"


def test_another_process_holding_the_lock_is_waited_for(table, tmp_path):
    """A short lock by another program delays a write and does not fail it."""
    other = sqlite3.connect(tmp_path / "db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    table.write(lambda tx: tx.run(INSERT, (1,)))
    assert _numbers(table) == [1]
    other.close()


OPEN = """
import sys
from mainspring._adapters.sqlite.connection import connect
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.testing import FakeClock
database = SqliteDatabase(sys.argv[1], FakeClock())
print(database.migrate())
database.close()
"""


def test_processes_that_open_at_once_migrate_once(tmp_path):
    """Of several processes that open a new database, each migration is applied by one."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tmp_path / "db")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    outcomes = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * 4, outcomes
    assert sum(int(out) for out, _ in outcomes) == len(migration.migrations())


def test_a_new_file_that_another_process_sets_up_is_waited_for(tmp_path):
    """SQLite says at once that such a file is busy; who opens it waits all the same."""
    path = str(tmp_path / "db")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE theirs (n INTEGER)")
    with ThreadPoolExecutor(1) as threads:
        opening = threads.submit(connect, path)
        with pytest.raises(TimeoutError):
            opening.result(0.2)
        other.execute("COMMIT")
        opened = opening.result(30)
    assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    opened.close()
    other.close()


def test_a_newer_database_is_refused(database):
    """A migration that this version does not know stops it before it writes."""
    database.write(lambda tx: tx.run("INSERT INTO migrations VALUES ('9999_new.sql', 'x')"))
    assert _error(database.migrate).code == "database.newer"


def test_an_edited_migration_is_refused(database):
    """A migration that was applied in another wording stops it."""
    database.write(lambda tx: tx.run("UPDATE migrations SET digest = 'x'"))
    assert _error(database.migrate).code == "database.migration_changed"


def test_a_migration_that_fails_can_be_run_again(tmp_path, monkeypatch):
    """A crash inside a migration leaves it undone, and running again does the rest."""
    real = migration.migrations()
    bad = (real[0], migration.Migration("0001_z.sql", "CREATE TABLE z (n INTEGER);\nnonsense;\n"))
    database = SqliteDatabase(tmp_path / "db", FakeClock())
    monkeypatch.setattr(migration, "migrations", lambda: bad)
    with pytest.raises(sqlite3.OperationalError):
        database.migrate()
    sql = "SELECT count(*) FROM sqlite_master WHERE name = 'z'"
    assert database.read(lambda db: db.one(sql)) == (0,)
    good = (real[0], migration.Migration("0001_z.sql", "CREATE TABLE z (n INTEGER);\n"))
    monkeypatch.setattr(migration, "migrations", lambda: good)
    assert database.migrate() == 1
    assert database.read(lambda db: db.one(sql)) == (1,)
    database.close()
