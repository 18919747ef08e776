"""Everything in one command: up when it says so, whole again after a part died, drained at the end."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

import mainspring as ms


class Up:
    """``mainspring up`` on free ports; what it said on both outputs."""

    def __init__(self, folder: Path, *words: str) -> None:
        command = [sys.executable, "-m", "mainspring", *words, "up"]
        self.process = subprocess.Popen(
            [*command, "--port", "0", "--inference-port", "0"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.server = self._address()
        self.inference = self._address()

    def _address(self) -> str:
        line = self.process.stdout.readline()
        assert line, self.said
        return line.split()[-1]

    def _read(self) -> None:
        self.said.extend(line.strip() for line in self.process.stderr)

    def pid_of(self, part: str) -> int:
        """The process of a part, once it is its own (a child begins as its parent's copy)."""
        for _ in range(1500):
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            for pid in children.read_text().split():
                with suppress(FileNotFoundError, ProcessLookupError):  # one that ended just now
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    if part.encode() in words:
                        return int(pid)
            self.reader.join(0.02)
        raise LookupError(part)

    def wait_for_line(self, pattern: str, times: int = 1) -> None:
        for _ in range(3000):
            if sum(bool(re.search(pattern, line)) for line in list(self.said)) >= times:
                return
            assert self.reader.is_alive(), self.said
            self.reader.join(0.02)
        raise AssertionError(self.said)

    def end(self) -> int:
        code = self.process.wait(60)
        self.reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture
def up(project):
    running = Up(project)
    yield running
    running.process.terminate()
    assert running.end() == 0
    assert not list(Path("/proc").glob(f"{running.process.pid}/cmdline"))


def test_everything_answers_once_the_addresses_are_printed(up):
    """The pages, the API and the gateway answer at the addresses on standard output."""
    assert httpx.get(f"{up.server}/health").text == "OK"
    assert httpx.get(f"{up.inference}/v2/health/ready").json() == {"ready": True}
    assert up.pid_of("worker")


@pytest.mark.parametrize(
    "part",
    [
        "gateway",
        pytest.param("worker", marks=pytest.mark.slow),
        pytest.param("server", marks=pytest.mark.slow),
    ],
)
def test_a_part_that_dies_is_started_again_where_it_was(up, part):
    """Kill -9 of a part is said, and its address answers again."""
    gone = up.pid_of(part)
    os.kill(gone, signal.SIGKILL)
    up.wait_for_line(f"The {part} ended .* started again")
    if part != "worker":
        up.wait_for_line(f"^{part}: .* answers at ", times=2)
        url = {"gateway": up.inference, "server": up.server}[part]
        assert httpx.get(f"{url}/health").text == "OK"
    assert up.pid_of(part) != gone


@pytest.mark.slow
def test_a_part_that_dies_again_and_again_ends_the_whole(project):
    """After the fourth time within a minute the others are drained and the exit code says it."""
    running = Up(project)
    for times in range(1, 5):
        os.kill(running.pid_of("worker"), signal.SIGKILL)
        if times < 4:
            running.wait_for_line("The worker ended", times=times)
    assert running.end() == 1
    assert any("again and again" in line for line in running.said)


@pytest.mark.slow
def test_its_parts_end_with_it(project):
    """Kill -9 of the command itself: no part stays behind."""
    running = Up(project)
    pids = [running.pid_of(part) for part in ("server", "gateway", "worker")]
    running.process.kill()
    running.end()
    for pid in pids:
        descriptor = None
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        assert select.select([descriptor], [], [], 60)[0], pid
        os.close(descriptor)


def test_without_a_project_there_is_no_worker(tmp_path):
    """A bare workspace has a server and a gateway."""
    with ms.open(tmp_path / "work"):
        pass
    running = Up(tmp_path, "--workspace", str(tmp_path / "work"))
    assert httpx.get(f"{running.server}/health").text == "OK"
    assert any("nothing for a worker" in line for line in running.said)
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 0


@pytest.mark.slow
def test_a_taken_port_is_said(project):
    """A part that cannot start ends the whole, with what it said."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["up", "--port", "0", "--inference-port", str(taken.getsockname()[1])]
        done = subprocess.run(
            [sys.executable, "-m", "mainspring", *words],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 5
    assert "Cannot listen" in done.stderr
    assert "cli.part_failed" in done.stderr
