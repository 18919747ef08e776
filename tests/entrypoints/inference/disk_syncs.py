"""How long the disk takes, beside a test that waits for it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path


class Syncs(threading.Thread):
    """How long a write with a sync takes on this disk, moment by moment."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._path, self._stopping = folder / "syncs", threading.Event()
        self._began: list[float] = []
        self._ended: list[float] = []

    def run(self) -> None:
        with self._path.open("ab") as file:
            while not self._stopping.wait(0.02):
                self._began.append(time.monotonic())
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
                self._ended.append(time.monotonic())

    def longest_seconds(self, before: float) -> float:
        """The longest of those under way in the second before a moment."""
        spans = zip(self._began, [*self._ended, before], strict=False)
        return max(
            (
                min(end, before) - began
                for began, end in spans
                if end > before - 1 and began < before
            ),
            default=0.0,
        )

    def stop(self) -> None:
        self._stopping.set()
        self.join(30)
