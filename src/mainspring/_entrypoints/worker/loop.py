"""The worker's loop: enqueue what is due, watch, take a job, run it, and so on until it is told."""

from __future__ import annotations

import queue as queues
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from mainspring._entrypoints.worker.holding import held
from mainspring.core.cron import last_between
from mainspring.core.errors import Conflict, MainspringError, TimedOut, Unavailable
from mainspring.core.time import to_iso
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database
from mainspring.ports.queue import Lease, Queue

PIPELINE: Final = "pipeline"
_MOST_ATTEMPTS: Final = 5
_FIRST_RETRY_SECONDS: Final = 30.0
_WATCH_EVERY_SECONDS: Final = 60.0
_IDLE_SECONDS: Final = 1.0
# A minute that passed while no worker ran is made up for once, if it is not older.
_MAKE_UP_FOR: Final = timedelta(days=1)


class Stop:
    """Tells a worker to end after its job. May be called as a signal handler.

    ``SimpleQueue.put`` is reentrant where an event's lock would wait for itself in a handler.
    """

    def __init__(self) -> None:
        self.told = False
        self._bell: queues.SimpleQueue[None] = queues.SimpleQueue()

    def __call__(self, *_signal: object) -> None:
        self.told = True
        self._bell.put(None)

    def wait(self, seconds: float) -> None:
        """Returns after so long, or at once when told."""
        with suppress(queues.Empty):
            self._bell.get(timeout=seconds)


@dataclass(slots=True)
class Worked:
    """What a worker did: jobs it enqueued for a schedule, completed, and gave back or gave up."""

    enqueued: int = 0
    done: int = 0
    failed: int = 0


@dataclass(slots=True)
class Worker:
    """A worker of one workspace.

    ``run`` runs a pipeline with the job's arguments and returns what came of it; ``watch`` is one
    pass of watching; ``tell`` says a line to whoever looks on. A job runs at least once: what it
    does is kept step by step, so another worker goes on where a dead one stopped. An error that nobody
    foresaw ends the worker like a kill: the job is tried by the next, and given up after five.
    """

    name: str
    database: Database
    queue: Queue
    clock: Clock
    schedules: Mapping[str, str]
    run: Callable[[dict[str, Any]], dict[str, Any]]
    watch: Callable[[], None]
    tell: Callable[[str], None]
    lease_seconds: float = 60.0
    worked: Worked = field(default_factory=Worked)
    _seen: dict[str, datetime] = field(default_factory=dict)
    _watched_seconds: float | None = None
    _said: str = ""

    def once(self, stop: Stop) -> Worked:
        """Does what is due, and ends."""
        self._enqueue_due()
        self._watch_due()
        while not stop.told and self._work():
            pass
        return self.worked

    def until(self, stop: Stop) -> Worked:
        """Works until it is told to stop; a job under way is finished first."""
        while not stop.told:
            try:
                self._enqueue_due()
                self._watch_due()
                found = self._work()
            except Unavailable as error:
                # A database that comes back finds its worker; what was under way is leased anew.
                self._tell_once(error)
                found = False
            if not found:
                stop.wait(_IDLE_SECONDS)
        return self.worked

    # -- schedules and watching -----------------------------------------------------------------

    def _enqueue_due(self) -> None:
        now = self.clock.now()
        for pipeline, schedule in self.schedules.items():
            after = self._seen.get(pipeline, now - _MAKE_UP_FOR)
            due = last_between(schedule, after, now)
            if due is not None:
                self._enqueue(pipeline, f"schedule:{pipeline}:{to_iso(due)}")
            self._seen[pipeline] = now

    def _enqueue(self, pipeline: str, key: str) -> None:
        arguments = {"pipeline": pipeline, "given": {}, "cache": True}
        self.database.write(lambda tx: self.queue.enqueue(tx, PIPELINE, arguments, key=key))
        self.worked.enqueued += 1

    def _watch_due(self) -> None:
        now = self.clock.monotonic_seconds()
        if self._watched_seconds is not None and now - self._watched_seconds < _WATCH_EVERY_SECONDS:
            return
        self._watched_seconds = now
        try:
            self.watch()
        except (MainspringError, OSError) as error:
            self._tell_once(error)

    def _tell_once(self, error: Exception) -> None:
        """Says an error that lasts once, not every time that it is met."""
        if str(error) != self._said:
            self._said = str(error)
            self.tell(self._said)

    # -- a job ----------------------------------------------------------------------------------

    def _work(self) -> bool:
        """Takes and runs one job; whether there was one."""
        lease = self.queue.take(self.name, (PIPELINE,), seconds=self.lease_seconds)
        if lease is None:
            return False
        try:
            self._run(lease)
        except Conflict as error:
            if error.code != "queue.lease_lost":
                raise
            self.tell(str(error))
        return True

    def _run(self, lease: Lease) -> None:
        job = lease.job
        self.tell(f"{job.arguments['pipeline']}: job {job.id}, attempt {job.attempt}")
        if job.attempt > _MOST_ATTEMPTS:
            said = {"code": "worker.given_up", "message": "Every attempt ended with its worker."}
            self._fail(lease, said, retry=False)
            return
        try:
            with held(self.queue, lease, seconds=self.lease_seconds):
                result = self.run(job.arguments)
        except MainspringError as error:
            self._fail(lease, error.as_dict(), retry=_may_pass(error))
        except OSError as error:
            said = {"code": "worker.system", "message": f"{type(error).__name__}: {error}"}
            self._fail(lease, said, retry=True)
        else:
            self._complete(lease, result)

    def _complete(self, lease: Lease, result: dict[str, Any]) -> None:
        self.database.write(lambda tx: self.queue.complete(tx, lease, result))
        self.worked.done += 1
        self.tell(f"{lease.job.arguments['pipeline']}: done")

    def _fail(self, lease: Lease, error: dict[str, Any], *, retry: bool) -> None:
        attempt = lease.job.attempt
        seconds = _FIRST_RETRY_SECONDS * 2 ** (attempt - 1)
        again = seconds if retry and attempt < _MOST_ATTEMPTS else None
        self.queue.fail(lease, error, retry_after_seconds=again)
        self.worked.failed += 1
        then = "given up" if again is None else f"once more in {again:.0f} s"
        self.tell(f"{lease.job.arguments['pipeline']}: {error['message']} ({then})")


def _may_pass(error: MainspringError) -> bool:
    """Whether trying again may help: something was away, or the user's own code failed."""
    return isinstance(error, Unavailable | TimedOut) or error.code == "pipelines.step_failed"
