"""Servers under measurement: started, timed until their first right answer, weighed, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECONDS_TO_START = 120.0


@dataclass
class Case:
    """One request: where to, what, and with which headers."""

    url: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    seconds_to_answer: float = 0.0

    def processes(self) -> list[int]:
        """The process and all below it."""
        found, parents = [self.process.pid], {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                text = path.read_text()
                parents[int(path.parent.name)] = int(text.rsplit(")", 1)[1].split()[1])
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu_seconds(self) -> float:
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += int(words[11]) + int(words[12])
        return total / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Proportional set size: pages that processes share are counted once."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError, StopIteration):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
        return total / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(case: Case) -> tuple[bytes, dict[str, str]]:
    request = urllib.request.Request(case.url, case.body, case.headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read(), {k.lower(): v for k, v in response.headers.items()}


@contextlib.contextmanager
def started(
    command: list[str], first: Case, *, cwd: Path, environment: dict[str, str] | None = None
) -> Iterator[Server]:
    """The server once it has answered ``first``; the whole of it is gone afterwards."""
    log = (cwd / f"server-{free_port()}.log").open("w+b")
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=quiet, stdout=log, stderr=log, start_new_session=True
    )
    server = Server(process)
    try:
        server.seconds_to_answer = until_answered(process, first, begun, Path(log.name))
        yield server
    finally:
        stop(server)
        log.close()


def until_answered(process: subprocess.Popen[bytes], first: Case, begun: float, log: Path) -> float:
    while time.perf_counter() - begun < SECONDS_TO_START:
        try:
            ask(first)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 404:
                raise RuntimeError(f"{error.code}: {error.read()[:500]!r}") from error
        except OSError:
            pass
        else:
            return time.perf_counter() - begun
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise RuntimeError(f"it does not answer: {log.read_text(errors='replace')[-1500:]}")


def stop(server: Server) -> None:
    everyone = server.processes()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(15)
    for pid in everyone:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()
