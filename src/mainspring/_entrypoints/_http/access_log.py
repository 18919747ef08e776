"""One line of JSON per request, written beside the requests, never before their answers.

Lines gather in memory and are appended twice a second by a thread, each time to whatever file has
the name then: a log that was moved away (rotated) needs no signal, and several processes may share
a file, since a group of lines is one write. A full buffer or disk loses lines, and counts them.
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from mainspring.core.errors import Unavailable

_WRITE_SECONDS: Final = 0.5
_MOST_WAITING: Final = 100_000
_encode = msgspec.json.Encoder().encode


class AccessLog:
    """Appends lines to a file. ``add`` may be called from any thread and does not wait."""

    def __init__(self, path: Path) -> None:
        """Errors: ``http.access_log`` when the file cannot be written at all."""
        self._path = path
        self._waiting: list[tuple[float, dict[str, Any]]] = []
        self._stopped = threading.Event()
        self.lost_lines = 0
        failure = self._append(b"")
        if failure is not None:
            raise Unavailable(
                "http.access_log",
                f"The access log {path} cannot be written ({failure.strerror}).",
                hint="Name a file in a folder that exists and may be written to.",
            )
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def add(self, seconds_since_1970: float, line: dict[str, Any]) -> None:
        """Takes a line; lost, and counted, when very many wait."""
        if len(self._waiting) >= _MOST_WAITING:
            self.lost_lines += 1
        else:
            self._waiting.append((seconds_since_1970, line))

    def close(self) -> None:
        """Writes what was taken."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stopped.wait(_WRITE_SECONDS)
            taken, self._waiting = self._waiting, []
            if taken and self._append(b"".join(_line(at, one) for at, one in taken)) is not None:
                self.lost_lines += len(taken)

    def _append(self, data: bytes) -> OSError | None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            try:
                while data:
                    data = data[os.write(descriptor, data) :]
            finally:
                os.close(descriptor)
        except OSError as error:
            return error
        return None


def _line(seconds: float, line: dict[str, Any]) -> bytes:
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return _encode({"time": moment.replace("+00:00", "Z"), **line}) + b"\n"
