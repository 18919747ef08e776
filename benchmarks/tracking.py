"""Tracking beside a real MLflow server on this machine: python benchmarks/tracking.py.

Needs an environment with mlflow 3.17 (``--mlflow .venv-mlflow``). Each server is started fresh and
alone, and driven by the same client scripts. Unfair to MLflow: its default server loses 40 ms per
request to a missing TCP_NODELAY, so it is shown with one worker too, where the loss is not. Unfair
to us: nothing known; both commit to SQLite with full synchronisation before they answer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

CLIENT = Path(__file__).with_name("tracking_client.py")
SERVER = """
import sys
from mainspring._bootstrap.workspace import open_workspace
from mainspring._entrypoints.server import run_server
run_server(open_workspace(sys.argv[1]), port=int(sys.argv[2]))
"""
OURS, DEFAULT, ONE = "Mainspring", "MLflow, default", "MLflow, one worker"
FEW_SECONDS = 5.0


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


@contextlib.contextmanager
def server(kind: str, folder: Path, mlflow: Path) -> Iterator[tuple[str, float, int]]:
    """A server of a kind: its address, seconds until healthy, process."""
    port = free_port()
    if kind == OURS:
        command = [sys.executable, "-c", SERVER, str(folder), str(port)]
    else:
        command = [
            str(mlflow / "bin" / "mlflow"),
            "server",
            "--port",
            str(port),
            "--host",
            "127.0.0.1",
        ]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        command += ["--artifacts-destination", str(folder)] + (
            ["--workers", "1"] if kind == ONE else []
        )
    started = time.perf_counter()
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        command, start_new_session=True, env=environment, cwd=folder, **quiet
    )
    try:
        address = f"http://127.0.0.1:{port}"
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/health", timeout=5).read()
                break
            time.sleep(0.01)
            if process.poll() is not None or time.perf_counter() - started > 180:
                raise RuntimeError(f"{kind} did not start")
        yield address, time.perf_counter() - started, process.pid
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def drive(mlflow: Path, what: str, address: str, calls: int) -> dict[str, float]:
    command = [str(mlflow / "bin" / "python"), str(CLIENT), what, address, str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def rows(runs: int) -> Iterator[tuple[int, dict[str, str], dict[str, float], dict[str, str]]]:
    """The data of the searches: 20 params (ten of them one of ten values), 10 metrics, 4 tags."""
    random = Random(0)
    for i in range(runs):
        params = {
            f"param_{j:02d}": str(random.randrange(10)) if j < 10 else f"v{i}_{j}"
            for j in range(20)
        }
        metrics = {f"metric_{j}": random.random() for j in range(10)}
        yield i, params, metrics, {f"tag_{j}": f"t{i % 50}" for j in range(4)}


def fill_ours(folder: Path, runs: int) -> None:
    database = sqlite3.connect(next(folder.rglob("mainspring.db")))
    names = [f"p:param_{j:02d}" for j in range(20)] + [f"m:metric_{j}" for j in range(10)]
    names += [f"t:tag_{j}" for j in range(4)]
    database.executemany("INSERT INTO fields (name) VALUES (?)", [(name,) for name in names])
    ids = dict(database.execute("SELECT name, id FROM fields"))
    for i, params, metrics, tags in rows(runs):
        number, start = i + 1, 1_700_000_000_000 + i
        document = json.dumps({"params": params, "tags": tags})
        database.execute(
            "INSERT INTO runs (id, uuid, experiment, shelf, name, user_id, status, start_ms, "
            "artifact_uri, document) VALUES (?,?,0,0,?,'','FINISHED',?,'x',?)",
            (number, f"{i:032x}", f"run{i}", start, document),
        )
        terms = [(f"p:{k}", v) for k, v in params.items()] + [
            (f"t:{k}", v) for k, v in tags.items()
        ]
        database.executemany(
            "INSERT INTO run_terms VALUES (?,?,0,?)", [(number, ids[k], v) for k, v in terms]
        )
        database.executemany(
            "INSERT INTO latest VALUES (?,?,0,?,?,0,0,?)",
            [(number, ids[f"m:{k}"], start, v, start) for k, v in metrics.items()],
        )
    database.commit()
    database.close()


def fill_mlflow(folder: Path, runs: int) -> None:
    database = sqlite3.connect(folder / "mlflow.db")
    for i, params, metrics, tags in rows(runs):
        run, start = f"{i:032x}", 1_700_000_000_000 + i
        database.execute(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, "
            "status, start_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
            "VALUES (?,?,'UNKNOWN','','','','FINISHED',?,'','active','x',0)",
            (run, f"run{i}", start),
        )
        database.executemany(
            "INSERT INTO params (key, value, run_uuid) VALUES (?,?,?)",
            [(k, v, run) for k, v in params.items()],
        )
        database.executemany(
            "INSERT INTO tags (key, value, run_uuid) VALUES (?,?,?)",
            [(k, v, run) for k, v in tags.items()],
        )
        database.executemany(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
            "VALUES (?,?,?,0,0,?)",
            [(k, v, start, run) for k, v in metrics.items()],
        )
    database.commit()
    database.close()


def measure(kind: str, mlflow: Path, calls: int, runs: int) -> dict[str, float]:
    found: dict[str, float] = {}
    fast = kind == OURS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(kind, folder, mlflow) as (address, seconds, pid):
            found["start to healthy (s)"] = seconds
            time.sleep(FEW_SECONDS)
            found["memory at rest, all processes (MB)"] = tree_memory_mb(pid)
            found |= drive(mlflow, "log_metric", address, calls if fast else calls // 5)
            found |= drive(mlflow, "four_clients", address, calls if fast else calls // 10)
            found |= drive(mlflow, "create_and_finish", address, 60 if fast else 15)
            found |= drive(mlflow, "raw", address, 60 if fast else 15)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(kind, folder, mlflow):
            pass
        (fill_ours if fast else fill_mlflow)(folder, runs)
        with server(kind, folder, mlflow) as (address, _, _):
            found |= drive(mlflow, "search", address, 0)
    return found


def recording() -> dict[str, float]:
    from mainspring._bootstrap.tracking import open_runs
    from mainspring._bootstrap.workspace import open_workspace

    with tempfile.TemporaryDirectory() as name:
        workspace = open_workspace(name)
        runs = open_runs(workspace.tracking, Path(name) / "spool")
        best = {"run.log returns (calls/s)": 0.0, "run.log committed (calls/s)": 0.0}
        with runs.start("bench") as run:
            for part in range(5):
                started = time.perf_counter()
                for i in range(200_000):
                    run.log({"loss": 0.5}, step=part * 200_000 + i)
                returned = time.perf_counter() - started
                run.flush()
                committed = time.perf_counter() - started
                best["run.log returns (calls/s)"] = max(
                    best["run.log returns (calls/s)"], 200_000 / returned
                )
                best["run.log committed (calls/s)"] = max(
                    best["run.log committed (calls/s)"], 200_000 / committed
                )
        runs.close()
        workspace.close()
    return best


def show(columns: dict[str, dict[str, float]]) -> None:
    names = list(dict.fromkeys(name for found in columns.values() for name in found))
    width = max(map(len, names))
    print(f"{'':{width}}" + "".join(f"{kind:>20}" for kind in columns))
    for name in names:
        cells = [
            f"{found[name]:20,.1f}" if name in found else f"{'-':>20}" for found in columns.values()
        ]
        print(f"{name:{width}}" + "".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mlflow", type=Path, default=Path(".venv-mlflow"))
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--runs", type=int, default=100_000, help="runs in our search")
    parser.add_argument("--peer-runs", type=int, default=2_000, help="runs in MLflow's search")
    parser.add_argument("--peers", type=int, default=2, help="0: ours alone")
    chosen = parser.parse_args()
    mlflow = chosen.mlflow.absolute()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    columns = {OURS: measure(OURS, mlflow, chosen.calls, chosen.runs) | recording()}
    for kind in (DEFAULT, ONE)[: chosen.peers]:
        columns[kind] = measure(kind, mlflow, chosen.calls, chosen.peer_runs)
    show(columns)
    print(f"\nSearch among {chosen.runs:,} runs (ours) and {chosen.peer_runs:,} (MLflow).")


if __name__ == "__main__":
    main()
