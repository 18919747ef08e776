"""The servers of the tracking benchmark: ours, MLflow's two ways, and one that does nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OURS, DEFAULT, ONE = "Mainspring", "MLflow, default", "MLflow, one worker"
NOTHING = "client alone"
ROOT = Path(__file__).parents[1]
SERVER = """
import sys
from mainspring._bootstrap.workspace import open_workspace
from mainspring._entrypoints.server import run_server
run_server(open_workspace(sys.argv[1]), port=int(sys.argv[2]))
"""
_SECONDS_TO_START = 180


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree_memory_mb(pid: int) -> float:
    """Proportional memory of a process and all below it."""
    total = 0.0
    with contextlib.suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += (
            int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])
            / 1024
        )
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += tree_memory_mb(int(child))
    return total


def command(kind: str, folder: Path, mlflow: Path, port: int) -> list[str]:
    if kind == OURS:
        return [sys.executable, "-c", SERVER, str(folder), str(port)]
    if kind == NOTHING:
        return [sys.executable, __file__, str(port)]
    words = [str(mlflow / "bin" / "mlflow"), "server", "--port", str(port), "--host", "127.0.0.1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    words += ["--artifacts-destination", str(folder)]
    return words + (["--workers", "1"] if kind == ONE else [])


@contextlib.contextmanager
def server(kind: str, folder: Path, mlflow: Path) -> Iterator[tuple[str, float, int]]:
    """A server of a kind: its address, seconds until healthy, process."""
    port = free_port()
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    # An installed program has its byte code; without it each start compiles everything anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    process = subprocess.Popen(
        command(kind, folder, mlflow, port),
        start_new_session=True,
        env=environment,
        cwd=folder,
        **quiet,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/health", timeout=5).read()
                break
            time.sleep(0.01)
            if process.poll() is not None or time.perf_counter() - started > _SECONDS_TO_START:
                raise RuntimeError(f"{kind} did not start")
        yield address, time.perf_counter() - started, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Nothing:
    """Answers at once with what a client expects: what is left is the client's own time."""

    def __init__(self) -> None:
        info = {"run_id": "0" * 32, "run_uuid": "0" * 32, "experiment_id": "0", "user_id": ""}
        info |= {"run_name": "x", "status": "RUNNING", "lifecycle_stage": "active"}
        info |= {"artifact_uri": "x", "start_time": 1}
        run = {"info": info, "data": {}}
        self.run = json.dumps({"run": run, "run_info": info}).encode()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.method != "GET":
            await protocol()
        body = b"{}" if "/log-" in scope.path else self.run
        protocol.response_bytes(200, [("content-type", "application/json")], body)


async def answer(port: int) -> None:
    from mainspring._entrypoints._http.listening import Listener

    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    Listener(Nothing(), "127.0.0.1", port).start()
    await told.wait()


if __name__ == "__main__":
    asyncio.run(answer(int(sys.argv[1])))
