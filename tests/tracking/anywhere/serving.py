"""A real server in a process of its own, which can be killed and started again on its port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plain_environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MAINSPRING_")}
    return {**kept, **more}


class Server:
    """``mainspring server`` on a folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns once it answers."""
        command = [sys.executable, "-m", "mainspring", "--workspace", str(self.folder), "server"]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            stderr=subprocess.PIPE,
            text=True,
            env=plain_environment(**self._settings),
        )
        assert self._process.stderr is not None
        told = self._process.stderr.readline()
        assert self.url in told, told

    def kill(self) -> None:
        """Ends it as ``kill -9`` does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[Server]:
    server = Server(folder, **settings)
    server.start()
    try:
        yield server
    finally:
        server.kill()
