"""How long the disk takes, beside a test that waits for it."""

from __future__ import annotations

import os
import threading
import time
from itertools import pairwise
from pathlib import Path

PAUSE_SECONDS = 0.02


class Syncs(threading.Thread):
    """How long a write with a sync takes, moment by moment: on this disk, and to get to it.

    Whatever holds up the whole machine holds up this thread too, whether it writes or pauses.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._path, self._stopping = folder / "syncs", threading.Event()
        self._ended = [time.monotonic()]

    def run(self) -> None:
        with self._path.open("ab") as file:
            while not self._stopping.wait(PAUSE_SECONDS):
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
                self._ended.append(time.monotonic())

    def longest_seconds(self, before: float) -> float:
        """The longest of those under way in the second before a moment."""
        ends = [one for one in self._ended if one < before]
        turns = pairwise([*ends, before])
        return max(
            (end - began - PAUSE_SECONDS for began, end in turns if end > before - 1), default=0.0
        )

    def stop(self) -> None:
        self._stopping.set()
        self.join(30)
