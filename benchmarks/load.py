"""Load by ``wrk`` (Debian's package of that name): keep-alive connections, one request in flight each.

A generator in Python would cost more than the gateway it is to measure.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from processes import Case, Server

WARM_SECONDS = 1


@dataclass(frozen=True)
class Load:
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Processor time of the server, all its processes, per request."""


def load(server: Server, case: Case, folder: Path, *, connections: int, seconds: int) -> Load:
    """What the server bore. Errors: ``RuntimeError`` when any request failed."""
    (folder / "body").write_bytes(case.body)
    headers = "".join(f"{name}: {value}\n" for name, value in case.headers.items())
    (folder / "headers").write_text(headers)
    run(case, folder, connections, WARM_SECONDS)
    before = server.cpu_seconds()
    said = run(case, folder, connections, seconds)
    spent = server.cpu_seconds() - before
    if said["failures"] or not said["requests"]:
        raise RuntimeError(f"{case.url}: {said}")
    return Load(
        said["requests"] / said["seconds"],
        said["p50_ms"],
        said["p99_ms"],
        spent / said["requests"] * 1e6,
    )


@contextlib.contextmanager
def loaded(case: Case, folder: Path, *, connections: int, seconds: int) -> Iterator[None]:
    """Load beside what the block does. Errors: ``RuntimeError`` when any request failed."""
    (folder / "body").write_bytes(case.body)
    headers = "".join(f"{name}: {value}\n" for name, value in case.headers.items())
    (folder / "headers").write_text(headers)
    with ThreadPoolExecutor(1) as beside:
        said = beside.submit(run, case, folder, connections, seconds)
        time.sleep(WARM_SECONDS)
        yield
        if said.result()["failures"]:
            raise RuntimeError(f"{case.url}: {said.result()}")


def middle(rounds: list[Load]) -> Load:
    return Load(
        *(
            median(getattr(one, name) for one in rounds)
            for name in ("requests_per_second", "p50_ms", "p99_ms", "cpu_us")
        )
    )


def run(case: Case, folder: Path, connections: int, seconds: int) -> dict[str, float]:
    script = str(Path(__file__).with_name("load.lua"))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    files = {"BODY": str(folder / "body"), "HEADERS": str(folder / "headers")}
    done = subprocess.run(
        [*command, "-s", script, case.url],
        env={**os.environ, **files},
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    return json.loads(done.stdout.splitlines()[-1])
