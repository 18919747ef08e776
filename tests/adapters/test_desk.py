"""A thread that commits its own work: what it promises beside the writer's thread."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import Future

import pytest

from mainspring._adapters.sql import desk
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.core.errors import MainspringError
from mainspring.testing import FakeClock

INSERT = "INSERT INTO t (n) VALUES (?)"


@pytest.fixture
def table(tmp_path):
    database = SqliteDatabase(tmp_path / "db", FakeClock())
    database.write(lambda tx: tx.run("CREATE TABLE t (n INTEGER)"))
    yield database
    database.close()


@pytest.fixture
def turns(table):
    """What the desk asked to be called at the end of its turn."""
    asked = []
    table.attend(asked.append)
    return asked


def _numbers(database):
    return [row[0] for row in database.read(lambda db: db.all("SELECT n FROM t ORDER BY rowid"))]


def _insert(database, number):
    return database.submit(lambda tx: (tx.run(INSERT, (number,)), threading.get_ident())[1])


def test_a_turn_is_one_commit_on_its_own_thread(table, turns):
    """What a turn gathered is committed together, here, when the turn ends, and not before."""
    statements = []
    table._connection.set_trace_callback(statements.append)
    futures = [_insert(table, number) for number in range(3)]
    assert len(turns) == 1
    assert not any(future.done() for future in futures)
    turns.pop()()
    assert [future.result() for future in futures] == [threading.get_ident()] * 3
    assert statements.count("COMMIT") == 1
    assert _numbers(table) == [0, 1, 2]


def test_an_error_stays_with_its_own_work(table, turns):
    """One piece of a turn fails; the others are stored."""
    futures = [_insert(table, 1), table.submit(lambda tx: tx.run("nonsense")), _insert(table, 2)]
    turns.pop()()
    assert isinstance(futures[1].exception(), sqlite3.OperationalError)
    assert _numbers(table) == [1, 2]


def test_what_came_before_is_done_before(table, turns):
    """While the writer is at work the desk hands over and does not wait."""
    gate, begun = threading.Event(), threading.Event()
    others: list[Future[int]] = []

    def work(tx):
        begun.set()
        assert gate.wait(30)
        return tx.run(INSERT, (1,))

    asker = threading.Thread(target=lambda: others.append(table.submit(work)))
    asker.start()
    asker.join()
    assert begun.wait(30)
    future = _insert(table, 2)
    turns.pop()()
    assert not future.done()
    gate.set()
    assert future.result(30) != threading.get_ident()
    assert _numbers(table) == [1, 2]


def test_waiting_for_ones_own_work_does_it(table, turns):
    """A thread at the desk may wait for its futures and for a write: neither waits for ever."""
    assert _insert(table, 1).result(30) == threading.get_ident()
    assert _insert(table, 2).exception(30) is None
    assert table.write(lambda tx: tx.run(INSERT, (3,))) == 1
    assert _numbers(table) == [1, 2, 3]
    for turn in turns:
        turn()  # nothing is left, nothing is done twice
    assert _numbers(table) == [1, 2, 3]


def test_another_process_is_waited_for_elsewhere(table, turns, tmp_path):
    """A lock of another program delays the work and not the thread."""
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    future = _insert(table, 1)
    cancelled = _insert(table, 2)
    assert cancelled.cancel()
    turns.pop()()
    assert not future.done()
    other.execute("COMMIT")
    assert future.result(30) != threading.get_ident()
    assert _numbers(table) == [1]
    other.close()


def test_work_that_waits_for_other_work_is_refused(table, turns):
    """Work at the desk cannot wait for the writer, which waits for it."""
    future = table.submit(lambda tx: table.write(lambda inner: inner.run(INSERT, (1,))))
    turns.pop()()
    error = future.exception()
    assert isinstance(error, MainspringError)
    assert error.code == "database.nested"


def test_a_slow_commit_sends_the_next_to_the_writer(table, turns, monkeypatch):
    """After a slow commit the thread leaves commits to the writer for a while."""
    monkeypatch.setattr(desk, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(desk, "_REST_FACTOR", 10**6)
    _insert(table, 1)
    turns.pop()()
    assert _insert(table, 2).result(30) != threading.get_ident()
    assert turns == []
    assert _numbers(table) == [1, 2]


class _FailingSync:
    """A connection whose COMMIT fails as a failed fsync does."""

    def __init__(self, connection):
        self.connection = connection

    def execute(self, sql, *values):
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self.connection.execute(sql, *values)

    def __getattr__(self, name):
        return getattr(self.connection, name)


def test_a_failed_fsync_at_the_desk_stops_all_writing(table, turns):
    """Nothing is acknowledged, and nobody writes until the file was reopened and verified."""
    table._connection = _FailingSync(table._connection)
    futures = [_insert(table, 1), _insert(table, 2)]
    turns.pop()()
    later = _insert(table, 3)
    turns.pop()()
    for future in [*futures, later]:
        error = future.exception()
        assert isinstance(error, MainspringError)
        assert error.code == "database.broken"
    assert _numbers(table) == []
    table.recover()
    _insert(table, 4)
    turns.pop()()
    assert _numbers(table) == [4]


def test_leaving_and_closing_answer_what_was_gathered(table, turns):
    """What a turn gathered is done before its thread leaves the desk or closes the database."""
    left = _insert(table, 1)
    table.attend(None)
    assert left.result(30) == threading.get_ident()
    table.attend(turns.append)
    closed = _insert(table, 2)
    assert _numbers(table) == [1]
    table.close()
    assert closed.result(30) == threading.get_ident()


def test_closing_from_another_thread_refuses_what_comes_later(table, turns):
    """A turn that ends after the database was closed by another thread is told so."""
    late = _insert(table, 1)
    closer = threading.Thread(target=table.close)
    closer.start()
    closer.join(30)
    turns.pop()()
    error = late.exception()
    assert isinstance(error, MainspringError)
    assert error.code == "database.unavailable"


def test_many_threads_and_a_desk_lose_nothing(table, turns):
    """Work of the desk and of other threads, all at once, is stored once each."""
    ours: list[Future[int]] = []

    def others(first):
        for number in range(first, first + 200):
            table.write(lambda tx, n=number: tx.run(INSERT, (n,)))

    threads = [threading.Thread(target=others, args=(first,)) for first in (1000, 2000, 3000)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 60
    for number in range(600):
        ours.append(_insert(table, number))
        if number % 3 == 2:
            turns.pop()()
        assert time.monotonic() < until
    for thread in threads:
        thread.join(60)
    for future in ours:
        future.result(30)
    expected = [*range(600), *range(1000, 1200), *range(2000, 2200), *range(3000, 3200)]
    found = _numbers(table)
    assert sorted(found) == expected
    assert [n for n in found if n < 600] == list(range(600))
