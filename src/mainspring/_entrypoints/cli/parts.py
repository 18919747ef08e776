"""Commands that run together: started in order, told apart, replaced when they end, drained."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mainspring.core.errors import Unavailable

_LOOK_SECONDS: Final = 0.05
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 60.0
# A part that ends as often in as short a time is not started again.
_MOST_ENDS: Final = 3
_ENDS_SECONDS: Final = 60.0
_ANSWERS: Final = " answers at "


@dataclass(slots=True)
class Part:
    """A command, its process while it has one, and the address that it said."""

    name: str
    words: Sequence[str]
    has_address: bool = True
    address: str = ""
    process: subprocess.Popen[str] | None = None
    reader: threading.Thread | None = None
    ends: list[float] = field(default_factory=list)


class Parts:
    """Runs parts until they are told to stop. ``tell`` gets each line that one of them says."""

    def __init__(self, parts: Sequence[Part], tell: Callable[[str], None]) -> None:
        self._parts = parts
        self._tell = tell
        self._told = threading.Event()

    def stop(self) -> None:
        """Ends :meth:`run`. May be called from a signal handler."""
        self._told.set()

    def run(self, ready: Callable[[], None]) -> str | None:
        """Runs them all; ``ready`` is called once, when each has said its address.

        The name of the part that could not be kept alive; None when it was told to stop.
        Errors: ``cli.part_failed`` when one does not come up.
        """
        try:
            for part in self._parts:
                self._start(part)
                if not self._wait_for(part):
                    return None
            ready()
            return self._keep()
        finally:
            self._drain()

    def _start(self, part: Part) -> None:
        words = list(part.words)
        if part.address:  # it comes back where it was, also when the port was any free one
            words[words.index("--port") + 1] = part.address.rpartition(":")[2]
        command = [sys.executable, "-m", "mainspring._entrypoints.cli.part", *words]
        # A group of its own: Ctrl-C reaches us alone, and we stop them in order.
        part.process = subprocess.Popen(  # noqa: S603 - our own command, as a list
            command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        part.reader = threading.Thread(target=self._read, args=(part, part.process), daemon=True)
        part.reader.start()

    def _read(self, part: Part, process: subprocess.Popen[str]) -> None:
        for line in process.stderr or ():
            if _ANSWERS in line:
                part.address = line.split()[-1]
            self._tell(f"{part.name}: {line.rstrip()}")

    def _wait_for(self, part: Part) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while part.has_address and not part.address:
            if self._told.wait(_LOOK_SECONDS):
                return False
            if part.process is None or part.process.poll() is not None:
                break
            if time.monotonic() > deadline:
                break
        if part.has_address and not part.address:
            raise Unavailable(
                "cli.part_failed",
                f"The {part.name} did not start.",
                hint="What it said stands above.",
                part=part.name,
            )
        return True

    def _keep(self) -> str | None:
        while not self._told.wait(_LOOK_SECONDS):
            for part in self._parts:
                if part.process is None or part.process.poll() is None:
                    continue
                code = part.process.returncode
                self._release(part)
                now = time.monotonic()
                part.ends = [*(at for at in part.ends if now - at < _ENDS_SECONDS), now]
                if len(part.ends) > _MOST_ENDS:
                    self._tell(f"The {part.name} ended ({code}) again and again.")
                    return part.name
                self._tell(f"The {part.name} ended ({code}); it is started again.")
                self._start(part)
        return None

    def _drain(self) -> None:
        """Stops the last started first: what answers goes before what it leans on."""
        running = [part for part in self._parts if part.process is not None]
        for part in reversed(running):
            if part.process is not None and part.process.poll() is None:
                part.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for part in running:
            if part.process is not None:
                try:
                    part.process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    self._tell(f"The {part.name} did not end in time and is killed.")
                    part.process.kill()
                    part.process.wait()
            self._release(part)

    def _release(self, part: Part) -> None:
        if part.reader is not None:
            part.reader.join()
        if part.process is not None:
            for end in (part.process.stdin, part.process.stderr):
                if end is not None:
                    end.close()
            part.process = None
