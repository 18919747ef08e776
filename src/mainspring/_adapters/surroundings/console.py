"""What a process prints while a run goes on: its beginning and its end, the middle when it fits."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from mainspring.tracking.active import ActiveRun

FILE: Final = "mainspring/console.txt"
FIRST_LETTERS: Final = 100_000
LAST_LETTERS: Final = 900_000


class Transcript:
    """A text of bounded length: its first and its last letters."""

    def __init__(self, first: int = FIRST_LETTERS, last: int = LAST_LETTERS) -> None:
        self._room = first
        self._last = last
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._kept = 0
        self._left_out = 0
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        """Takes a text at the end."""
        with self._lock:
            if self._room:
                self._head.append(text[: self._room])
                text, self._room = text[self._room :], max(0, self._room - len(text))
            if not text:
                return
            self._tail.append(text)
            self._kept += len(text)
            while self._kept > self._last:
                gone = self._tail.popleft()
                over = min(len(gone), self._kept - self._last)
                self._kept -= over
                self._left_out += over
                if over < len(gone):
                    self._tail.appendleft(gone[over:])

    def text(self) -> str:
        """What was kept; a line says how much was not."""
        with self._lock:
            gap = f"\n... {self._left_out} letters left out ...\n" if self._left_out else ""
            return "".join(self._head) + gap + "".join(self._tail)


class Tee:
    """A stream that also adds what is written to the transcripts of those who listen."""

    def __init__(self, stream: TextIO, listening: dict[int, Transcript]) -> None:
        self._stream = stream
        self._listening = listening

    def write(self, text: str) -> int:
        for transcript in list(self._listening.values()):
            transcript.add(text)
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Console:
    """Listens to standard output and error for runs; puts the streams back behind the last one.

    Only what Python writes is heard. When someone else has replaced a stream meanwhile, theirs
    stays, and ours passes on what it is given.
    """

    def __init__(self) -> None:
        self._listening: dict[int, Transcript] = {}
        self._tees: list[tuple[str, Tee, TextIO]] = []
        self._lock = threading.Lock()

    def __call__(self, run: ActiveRun) -> Callable[[], None]:
        """Begins to listen for a run; what ends that and stores what was heard."""
        transcript = Transcript()
        with self._lock:
            self._listening[id(run)] = transcript
            if not self._tees:
                for name in ("stdout", "stderr"):
                    stream = getattr(sys, name)
                    if stream is not None:
                        tee = Tee(stream, self._listening)
                        self._tees.append((name, tee, stream))
                        setattr(sys, name, tee)
        return lambda: self._leave(run, transcript)

    def _leave(self, run: ActiveRun, transcript: Transcript) -> None:
        with self._lock:
            self._listening.pop(id(run), None)
            if not self._listening:
                for name, tee, stream in self._tees:
                    if getattr(sys, name) is tee:
                        setattr(sys, name, stream)
                self._tees = []
        if text := transcript.text():
            run.artifact(FILE, text.encode(errors="backslashreplace"))
