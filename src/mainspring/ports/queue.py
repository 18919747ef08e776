"""Jobs that survive the process that asked for them, and the leases by which workers hold them."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from mainspring.core.ids import JobId
from mainspring.ports.database import Transaction


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Work to be done: what, with which arguments, and how often it was tried."""

    id: JobId
    kind: str
    arguments: dict[str, Any]
    attempt: int


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's hold on a job.

    ``fence`` grows with every lease of the job: an older holder's writes are refused by comparing
    it (a fencing token).
    """

    job: Job
    worker: str
    fence: int
    expires_micros: int


class Queue(Protocol):
    """A table of jobs taken under leases: at least once, one holder at a time.

    Errors: ``queue.lease_lost`` when a holder acts after its lease went to another.
    """

    def enqueue(
        self, tx: Transaction, kind: str, arguments: dict[str, Any], *, key: str | None = None
    ) -> JobId:
        """Adds a job in the caller's transaction; the same ``key`` twice is one job."""
        ...

    def take(self, worker: str, kinds: tuple[str, ...], *, seconds: float) -> Lease | None:
        """The oldest free job of these kinds, held for so long; None when there is none."""
        ...

    def extend(self, lease: Lease, *, seconds: float) -> Lease:
        """The same hold, for longer."""
        ...

    def guard(self, tx: Transaction, lease: Lease) -> None:
        """Raises ``queue.lease_lost`` unless the lease still holds, inside the worker's own write."""
        ...

    def complete(self, tx: Transaction, lease: Lease, result: dict[str, Any]) -> None:
        """Marks the job done in the same transaction as its effect."""
        ...

    def fail(
        self, lease: Lease, error: dict[str, Any], *, retry_after_seconds: float | None
    ) -> None:
        """Gives the job back for a later try, or for good when None."""
        ...
