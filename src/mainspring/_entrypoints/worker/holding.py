"""Keeping a lease while its job runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mainspring.core.errors import Conflict, MainspringError
from mainspring.ports.queue import Lease, Queue

_TIMES_A_LEASE: Final = 3


@contextmanager
def held(queue: Queue, lease: Lease, *, seconds: float) -> Iterator[None]:
    """Extends the lease from a thread until the block ends.

    A lease that was lost all the same is noticed when the job is completed: its fence is older.
    """
    over = threading.Event()

    def extend() -> None:
        while not over.wait(seconds / _TIMES_A_LEASE):
            try:
                queue.extend(lease, seconds=seconds)
            except Conflict:
                return
            except MainspringError:
                continue  # the database is away for now; there is time for two more tries

    thread = threading.Thread(target=extend, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
