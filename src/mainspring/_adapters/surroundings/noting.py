"""Code, packages and machine noted beside the run, so that it begins at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mainspring.tracking.active import ActiveRun, Surroundings

FRESH_SECONDS: Final = 10.0  # runs in close succession are made by the same code


class Noting:
    """Captures in a thread of the run's own; the end of the run waits for it.

    Concurrency: any thread may begin and end runs; what was captured a moment ago serves again.
    """

    def __init__(self, capture: Callable[[], Surroundings]) -> None:
        self._capture = capture
        self._lock = threading.Lock()
        self._found: tuple[float, Surroundings] | None = None

    def __call__(self, run: ActiveRun) -> Callable[[], None]:
        """Begins to note; what waits until it is done."""
        thread = threading.Thread(
            target=self._note, args=(run,), name="mainspring-noting", daemon=True
        )
        thread.start()
        return thread.join

    def _note(self, run: ActiveRun) -> None:
        found = self._fresh()
        if found.tags:
            run.tags(found.tags)
        for path, data in found.files.items():
            run.artifact(f"mainspring/{path}", data)

    def _fresh(self) -> Surroundings:
        with self._lock:
            now = time.monotonic()
            if self._found is None or now - self._found[0] > FRESH_SECONDS:
                self._found = (now, self._capture())
            return self._found[1]
