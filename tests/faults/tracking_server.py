"""A tracking server to be killed, stopped and starved, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = Path(__file__).parents[1] / "entrypoints" / "mlflow" / "mlflow_server.py"
HEALTHY_SECONDS = 5.0


class Server:
    """The process; ``address`` is where it answers."""

    def __init__(self, folder: Path, port: int = 0, database: str = "") -> None:
        began = time.perf_counter()
        settings = {"MAINSPRING_DATABASE": database} if database else {}
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), str(folder), str(port)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **settings, "PYTHONUNBUFFERED": "1"},
        )
        line = self.process.stderr.readline()
        self.said: list[str] = []
        # Read for ever: a server whose words nobody takes stands still when the pipe is full.
        self._reader = threading.Thread(
            target=lambda: self.said.extend(self.process.stderr), daemon=True
        )
        self._reader.start()
        if "ready at " not in line:
            self.kill()
            raise AssertionError(line + "".join(self.said))
        self.address = line.split("ready at ")[1].strip()
        self.seconds_to_start = time.perf_counter() - began

    @property
    def host(self) -> str:
        return self.address.removeprefix("http://")

    def freeze(self) -> None:
        """Stops it between two instructions: what it has not synced stays in memory."""
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """Ends it as the out-of-memory killer would; once is enough."""
        self.process.kill()
        self.process.wait(30)
        self._reader.join(30)
        self.process.stderr.close()


@contextmanager
def serving(folder: Path, port: int = 0, database: str = "") -> Iterator[Server]:
    """A server that is gone afterwards."""
    server = Server(folder, port, database)
    try:
        yield server
    finally:
        server.kill()
