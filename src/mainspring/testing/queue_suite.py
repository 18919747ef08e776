"""What every implementation of the queue port must keep."""
# ruff: noqa: PLR2004 - the numbers of a test case are its own names

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from mainspring.core.ids import JobId
from mainspring.ports.database import Database
from mainspring.ports.queue import Lease, Queue
from mainspring.testing.clock import FakeClock
from mainspring.testing.promises import ensure, refused


class QueueSuite:
    """Inherit, and give ``queue`` (empty), its ``database`` and the ``clock`` it was made with."""

    def test_a_job_goes_once_through(self, queue: Queue, database: Database) -> None:
        """What was asked for arrives at one worker, and when done at nobody."""
        arguments = {"b": [1, None], "a": "é"}
        job = database.write(lambda tx: queue.enqueue(tx, "train", arguments))
        lease = self.held(queue, "one")
        ensure((lease.job.id, lease.job.kind, lease.job.attempt) == (job, "train", 1))
        ensure(lease.job.arguments == arguments)
        ensure(queue.take("two", ("train",), seconds=10) is None)
        database.write(lambda tx: queue.complete(tx, lease, {"ok": True}))
        ensure(queue.take("two", ("train",), seconds=10) is None)

    def test_only_the_asked_kinds_are_taken(self, queue: Queue, database: Database) -> None:
        """A worker gets what it can do."""
        self.add(queue, database, kind="train")
        ensure(queue.take("w", ("serve", "score"), seconds=10) is None)
        ensure(queue.take("w", (), seconds=10) is None)
        ensure(queue.take("w", ("serve", "train"), seconds=10) is not None)

    def test_the_oldest_goes_first(
        self, queue: Queue, database: Database, clock: FakeClock
    ) -> None:
        """Jobs leave in the order in which they came."""
        jobs = []
        for _ in range(5):
            jobs.append(self.add(queue, database))
            clock.advance(1)
        ensure([self.held(queue).job.id for _ in jobs] == jobs)

    def test_one_key_is_one_job(self, queue: Queue, database: Database) -> None:
        """Asking again with a key gives the first job, even when it is done long since."""
        job = self.add(queue, database, key="daily")
        ensure(self.add(queue, database, key="daily") == job)
        lease = self.held(queue)
        ensure(self.add(queue, database, key="daily") == job)
        database.write(lambda tx: queue.complete(tx, lease, {}))
        ensure(self.add(queue, database, key="daily") == job)
        ensure(queue.take("w", ("train",), seconds=10) is None)
        ensure(self.add(queue, database, key="other") != job)

    def test_a_job_is_undone_with_its_transaction(self, queue: Queue, database: Database) -> None:
        """When the caller's transaction fails there is no job."""

        def work(tx: Any) -> None:
            queue.enqueue(tx, "train", {})
            raise ZeroDivisionError

        try:
            database.write(work)
        except ZeroDivisionError:
            ensure(queue.take("w", ("train",), seconds=10) is None)
        else:
            raise AssertionError("the error was swallowed")

    def test_a_lease_that_ran_out_goes_to_another(
        self, queue: Queue, database: Database, clock: FakeClock
    ) -> None:
        """The second holder has a higher fence, and everything the first does is refused."""
        self.add(queue, database)
        old = self.held(queue, "old")
        clock.advance(9)
        ensure(queue.take("new", ("train",), seconds=10) is None)
        clock.advance(2)
        new = self.held(queue, "new")
        ensure(new.job.id == old.job.id and new.fence > old.fence and new.job.attempt == 2)
        self.ensure_lost(queue, database, old)
        database.write(lambda tx: queue.complete(tx, new, {}))
        self.ensure_lost(queue, database, new)

    def test_guard_undoes_the_write_it_stands_in(
        self, queue: Queue, database: Database, clock: FakeClock
    ) -> None:
        """A stale holder's own statements do not stay."""
        self.add(queue, database)
        old = self.held(queue, "old")
        clock.advance(11)
        self.held(queue, "new")

        def stale(tx: Any) -> None:
            queue.enqueue(tx, "train", {"stale": True})
            queue.guard(tx, old)

        ensure(refused(database.write, stale) == "queue.lease_lost")
        ensure(queue.take("third", ("train",), seconds=10) is None)

    def test_extending_keeps_the_job(
        self, queue: Queue, database: Database, clock: FakeClock
    ) -> None:
        """A holder that goes on extending is not relieved, and keeps its fence."""
        self.add(queue, database)
        lease = self.held(queue)
        for _ in range(5):
            clock.advance(8)
            longer = queue.extend(lease, seconds=10)
            ensure(longer.fence == lease.fence and longer.expires_micros > lease.expires_micros)
            lease = longer
            ensure(queue.take("other", ("train",), seconds=10) is None)
        database.write(lambda tx: queue.guard(tx, lease))

    def test_a_failed_job_comes_back_later(
        self, queue: Queue, database: Database, clock: FakeClock
    ) -> None:
        """Not before its time; and never when it failed for good."""
        job = self.add(queue, database)
        lease = self.held(queue)
        queue.fail(lease, {"code": "x"}, retry_after_seconds=30)
        self.ensure_lost(queue, database, lease)
        clock.advance(29)
        ensure(queue.take("w", ("train",), seconds=10) is None)
        clock.advance(2)
        again = self.held(queue)
        ensure((again.job.id, again.job.attempt) == (job, 2))
        queue.fail(again, {"code": "x"}, retry_after_seconds=None)
        clock.advance(1e6)
        ensure(queue.take("w", ("train",), seconds=10) is None)

    def test_no_two_workers_hold_one_job(self, queue: Queue, database: Database) -> None:
        """Of many workers that ask at once, each job goes to exactly one."""
        jobs = {self.add(queue, database) for _ in range(60)}

        def work(worker: int) -> list[JobId]:
            mine = []
            while lease := queue.take(f"w{worker}", ("train",), seconds=1000):
                mine.append(lease.job.id)
            return mine

        with ThreadPoolExecutor(8) as pool:
            taken = [job for mine in pool.map(work, range(8)) for job in mine]
        ensure(sorted(taken) == sorted(jobs), f"{len(taken)} taken of {len(jobs)}")

    def add(
        self, queue: Queue, database: Database, *, kind: str = "train", key: str | None = None
    ) -> JobId:
        """One more job."""
        return database.write(lambda tx: queue.enqueue(tx, kind, {}, key=key))

    def held(self, queue: Queue, worker: str = "w") -> Lease:
        """The next job, which must be there."""
        lease = queue.take(worker, ("train",), seconds=10)
        if lease is None:
            raise AssertionError("there is no job to take")
        return lease

    def ensure_lost(self, queue: Queue, database: Database, lease: Lease) -> None:
        """Every act of a holder that holds no more is refused."""
        later = msgspec.structs.replace(lease, expires_micros=2**60)
        for held in (lease, later):
            for act in (
                lambda held=held: queue.extend(held, seconds=10),
                lambda held=held: queue.fail(held, {}, retry_after_seconds=1),
                lambda held=held: database.write(lambda tx: queue.guard(tx, held)),
                lambda held=held: database.write(lambda tx: queue.complete(tx, held, {})),
            ):
                ensure(refused(act) == "queue.lease_lost")
