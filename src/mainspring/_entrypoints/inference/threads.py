"""A thread that runs one piece of work after the other for an event loop, and may be abandoned.

Not a ThreadPoolExecutor: Python waits for an executor's threads when the process ends, and a model
that hangs must not keep a gateway from stopping.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

_STOP: Final = None
_Work = tuple[Callable[[], Any], Callable[[Any], None], asyncio.AbstractEventLoop]


class ModelThread:
    """Runs work in the order it was given; ``polite`` work yields the processor to the rest."""

    def __init__(self, *, polite: bool) -> None:
        self._polite = polite
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="model", daemon=True).start()

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Calls ``done`` on the running event loop with what ``work`` returned; it must not raise."""
        self._work.put((work, done, asyncio.get_running_loop()))

    def stop(self) -> None:
        """Ends the thread after the work it has."""
        self._work.put(_STOP)

    def _run(self) -> None:
        if self._polite and sys.platform == "linux":
            # On Linux a niceness belongs to the thread.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while (item := self._work.get()) is not _STOP:
            work, done, loop = item
            result = work()
            if loop.is_closed():
                return
            loop.call_soon_threadsafe(done, result)
