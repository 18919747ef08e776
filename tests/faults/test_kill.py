"""What was acknowledged survives the death of the process that wrote it, at any moment."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from fault_checks import check_database, check_objects, check_tables

from mainspring._adapters.sql.queue import SqlQueue
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.testing import FakeClock

CHECKS = {"database": check_database, "objects": check_objects, "tables": check_tables}
MOST = {"database": 400, "objects": 30, "tables": 12}


def _rounds(kind, rounds, start, seed, folder):
    acked = {}
    for number in range(rounds):
        writer = start(folder, kind, number * 10_000)
        writer.acknowledge(seed.randrange(1, MOST[kind]))
        writer.kill()
        acked |= writer.acked
        CHECKS[kind](folder, acked)
    assert acked


@pytest.mark.parametrize("kind", CHECKS)
def test_nothing_acknowledged_is_lost(kind, start, seed, tmp_path):
    """Killed in the middle of writing, twice: acknowledged and missing 0, twice there 0."""
    _rounds(kind, 2, start, seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHECKS)
def test_nothing_acknowledged_is_lost_over_many_deaths(kind, start, seed, tmp_path):
    """The same store, killed again and again at random moments."""
    _rounds(kind, 25, start, seed, tmp_path)


def test_two_processes_share_a_table_until_both_are_killed(start, tmp_path):
    """Appends of two processes are versions of one table; none is lost, none shares a number."""
    writers = [start(tmp_path, "tables", first) for first in (0, 10_000)]
    for writer in writers:
        writer.acknowledge(8)
    for writer in writers:
        writer.kill()
    versions = [version for writer in writers for version in writer.acked.values()]
    assert len(versions) == len(set(versions))
    check_tables(tmp_path, writers[0].acked | writers[1].acked)


@pytest.fixture
def job(tmp_path):
    """A database with one job in it."""
    clock = FakeClock(datetime.now(UTC))
    database = SqliteDatabase(tmp_path / "db", clock)
    database.migrate()
    queue = SqlQueue(database, clock)

    def prepare(tx):
        tx.run("CREATE TABLE t (n INTEGER)")
        queue.enqueue(tx, "job", {})

    database.write(prepare)
    yield database, queue, clock
    database.close()


def _finish(database, queue, lease):
    def work(tx):
        tx.run("INSERT INTO t (n) VALUES (2)")
        queue.complete(tx, lease, {"by": "other"})

    database.write(work)
    return database.read(lambda db: db.all("SELECT n FROM t"))


def test_the_job_of_a_killed_worker_goes_to_another(job, start, tmp_path):
    """Its lease runs out, the next worker has a higher fence and finishes the job once."""
    database, queue, clock = job
    start(tmp_path, "queue").kill()
    assert queue.take("other", ("job",), seconds=60) is None
    clock.set(datetime.now(UTC) + timedelta(seconds=61))
    lease = queue.take("other", ("job",), seconds=60)
    assert (lease.fence, lease.job.attempt) == (2, 2)
    assert _finish(database, queue, lease) == [(2,)]


def test_a_worker_that_slept_through_its_lease_is_refused(job, start, tmp_path):
    """Stopped, relieved and woken, it changes nothing."""
    database, queue, clock = job
    writer = start(tmp_path, "queue")
    os.kill(writer.process.pid, signal.SIGSTOP)
    clock.set(datetime.now(UTC) + timedelta(seconds=61))
    lease = queue.take("other", ("job",), seconds=60)
    assert _finish(database, queue, lease) == [(2,)]
    os.kill(writer.process.pid, signal.SIGCONT)
    writer.process.stdin.write(b"go on\n")
    writer.process.stdin.flush()
    assert writer.read() == "queue.lease_lost"
    assert database.read(lambda db: db.all("SELECT n FROM t")) == [(2,)]
    assert writer.process.wait(30) == 0
