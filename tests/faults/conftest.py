"""Processes to kill."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

WRITER = Path(__file__).with_name("writer.py")


class Writer:
    """The writing process; ``acked`` holds what it said was safe."""

    def __init__(self, folder: Path, kind: str, first: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WRITER), str(folder), kind, str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stdin
        self.acked: dict[int, str] = {}
        assert self.read() == "ready"

    def read(self) -> str:
        return self.process.stdout.readline().decode().strip()

    def acknowledge(self, count: int) -> None:
        """Reads so many acknowledgements."""
        for _ in range(count):
            number, value = self.read().split()
            self.acked[int(number)] = value

    def kill(self) -> None:
        """Ends it as the out-of-memory killer would, and reads what it had still said."""
        os.kill(self.process.pid, signal.SIGKILL)
        for line in self.process.stdout.read().decode().splitlines(keepends=True):
            if line.endswith("\n"):
                number, value = line.split()
                self.acked[int(number)] = value
        self.process.wait(30)


@pytest.fixture
def start():
    """Starts writers and sees to it that none outlives the test."""
    started = []

    def begin(folder, kind, first=0):
        started.append(Writer(folder, kind, first))
        return started[-1]

    yield begin
    for writer in started:
        if writer.process.poll() is None:
            writer.kill()
        writer.process.stdin.close()
        writer.process.stdout.close()


@pytest.fixture
def seed():
    """A printed seed, so that a failure can be played again (set FAULT_SEED)."""
    number = int(os.environ.get("FAULT_SEED", random.SystemRandom().randrange(10**9)))
    print(f"FAULT_SEED={number}")  # noqa: T201 - pytest shows it with a failure
    return random.Random(number)
