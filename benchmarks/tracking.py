"""Tracking beside a real MLflow server on this machine: python benchmarks/tracking.py.

Needs an environment with mlflow 3.17 (``--mlflow .venv-mlflow``). Each server is started fresh and
alone, and driven by the same client scripts, one after the other; ours commits each call to SQLite
with full synchronisation before it answers, as MLflow does. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from tracking_servers import DEFAULT, NOTHING, ONE, OURS, server, tree_memory_mb
from tracking_stores import NARROW, WIDE, Shape, fill_mlflow, fill_ours

CLIENT = Path(__file__).with_name("tracking_client.py")
REST_SECONDS = 5.0
POINTS = 100_000
LOGGED = 200_000
REACH = {
    "log_metric, one client (calls/s)": "> 300",
    "log_metric, p50 (ms)": "< 3.5",
    "log_metric, four clients (calls/s)": "> 600",
    "log_metric, four clients, p99 (ms)": "< 20",
    "log_batch of 1000, raw HTTP (metrics/s)": "> 100,000",
    "create + 20 params + finish (runs/s)": "> 100",
    "search, 100,000 runs (ms)": "< 60",
    "search, 1,000,000 narrow runs (ms)": "< 3 x",
    "history of 100,000 points, JSON (ms)": "< 300",
    "history of 100,000 points, binary (ms)": "< 30",
    "history of 100,000 points, binary, first read (ms)": "< 30",
    "history of 100,000 points, binary, after a start (ms)": "< 30",
    "history of 100,000 points, JSON, after a start (ms)": "< 300",
    "SDK run.log returns (calls/s)": "> 500,000",
    "SDK run.log committed (calls/s)": "> 250,000",
    "start to healthy (s)": "< 1",
    "memory at rest, all processes (MB)": "< 120",
}


def drive(mlflow: Path, what: str, address: str, calls: int) -> dict[str, float]:
    command = [str(mlflow / "bin" / "python"), str(CLIENT), what, address, str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(mlflow: Path, calls: int) -> dict[str, float]:
    """What the stock client reaches against a server that does nothing."""
    with (
        tempfile.TemporaryDirectory() as name,
        server(NOTHING, Path(name), mlflow) as (address, _, _),
    ):
        return (
            drive(mlflow, "log_metric", address, calls)
            | drive(mlflow, "four_clients", address, calls)
            | drive(mlflow, "create_and_finish", address, 200)
        )


def measure(kind: str, mlflow: Path, calls: int) -> dict[str, float]:
    """All that one running server is asked for; slow ones are asked less often."""
    found: dict[str, float] = {}
    fast = kind == OURS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(kind, folder, mlflow) as (address, seconds, pid):
            found["start to healthy (s)"] = seconds
            time.sleep(REST_SECONDS)
            found["memory at rest, all processes (MB)"] = tree_memory_mb(pid)
            found |= drive(mlflow, "log_metric", address, calls if fast else calls // 5)
            found |= drive(mlflow, "four_clients", address, calls if fast else calls // 10)
            found |= drive(mlflow, "create_and_finish", address, 200 if fast else 15)
            found |= drive(mlflow, "raw", address, 60 if fast else 15)
            if fast:
                binary_found, run = binary(address)
                found |= binary_found
        if fast:
            for form in ("JSON", "binary"):
                with server(kind, folder, mlflow) as (address, _, _):
                    found |= after_start(address, run, form)
    return found


def search(kind: str, mlflow: Path, runs: int, shape: Shape = WIDE) -> dict[str, float]:
    """The search among so many runs: filter on a metric and a parameter, order by a metric."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(kind, folder, mlflow):
            pass  # it makes its tables
        if kind == OURS:
            fill_ours(folder, runs, shape)
        else:
            fill_mlflow(folder, runs)
        with server(kind, folder, mlflow) as (address, _, _):
            found = drive(mlflow, "search", address, 0)
    narrow = "" if shape == WIDE else "narrow "
    return {f"search, {runs:,} {narrow}runs (ms)": found["search (ms)"]}


def after_start(address: str, run: str, form: str) -> dict[str, float]:
    """The first thing that a server is asked for is a long history."""
    from mainspring._adapters.remote.tracking import RemoteRuns
    from mainspring._adapters.remote.wire import Wire

    asked = f"{address}/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=b0"
    started = time.perf_counter()
    if form == "binary":
        found, _more = RemoteRuns(Wire(address)).columns(run, "b0")
        milliseconds = 1e3 * (time.perf_counter() - started)
        assert len(found.steps) == POINTS
    else:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            data = answer.read()
        milliseconds = 1e3 * (time.perf_counter() - started)
        assert len(json.loads(data)["metrics"]) == POINTS
    return {f"history of 100,000 points, {form}, after a start (ms)": milliseconds}


def binary(address: str) -> tuple[dict[str, float], str]:
    """Our SDK reads a long history in the binary form: at first, and then again; and its run."""
    from mainspring._adapters.remote.tracking import RemoteRuns
    from mainspring._adapters.remote.wire import Wire
    from mainspring.tracking import Batch, Point

    runs = RemoteRuns(Wire(address))
    run = runs.create("0")
    times = []
    for part in range(3):  # three metrics, each read for the first time once
        for start in range(0, POINTS, 20_000):
            points = [Point(f"b{part}", i / 7, i, 10**12 + i) for i in range(start, start + 20_000)]
            runs.log(run.id, Batch(points=tuple(points))).result()
        for _ in range(3):
            started = time.perf_counter()
            found, _more = runs.columns(run.id, f"b{part}")
            times.append(1e3 * (time.perf_counter() - started))
        assert len(found.steps) == POINTS
    again = [seconds for i, seconds in enumerate(times) if i % 3]
    return {
        "history of 100,000 points, binary, first read (ms)": statistics.median(times[::3]),
        "history of 100,000 points, binary (ms)": statistics.median(again),
    }, run.id


def recording() -> dict[str, float]:
    """``run.log`` of the SDK in one process: until it returned, until all was committed."""
    from mainspring._bootstrap.tracking import open_runs
    from mainspring._bootstrap.workspace import open_workspace

    returned, committed = [], []
    with tempfile.TemporaryDirectory() as name:
        workspace = open_workspace(name)
        runs = open_runs(workspace.tracking, Path(name) / "spool")
        with runs.start("bench") as run:
            for part in range(5):
                started = time.perf_counter()
                for i in range(LOGGED):
                    run.log({"loss": 0.5}, step=part * LOGGED + i)
                returned.append(LOGGED / (time.perf_counter() - started))
                run.flush()
                committed.append(LOGGED / (time.perf_counter() - started))
        runs.close()
        workspace.close()
    return {
        "SDK run.log returns (calls/s)": statistics.median(returned),
        "SDK run.log committed (calls/s)": statistics.median(committed),
    }


def show(columns: dict[str, dict[str, float]]) -> None:
    names = [*REACH, *(n for found in columns.values() for n in found if n not in REACH)]
    names = list(dict.fromkeys(names))
    width = max(map(len, names))
    print(f"{'':{width}}{'reach':>11}" + "".join(f"{kind:>20}" for kind in columns))
    for name in names:
        cells = [
            f"{found[name]:20,.1f}" if name in found else f"{'-':>20}" for found in columns.values()
        ]
        print(f"{name:{width}}{REACH.get(name, ''):>11}" + "".join(cells))


def say(peer_runs: int) -> None:
    print(f"""
The column "{NOTHING}" is MLflow's own client against a server that answers at once: no server can
be faster. Unfair to MLflow: its default server loses 40 ms per request to a missing TCP_NODELAY, so
it stands here with one worker too, where it does not; and its slow rows are repeated less often.
Unfair to us: MLflow's search is measured among {peer_runs:,} runs only (among 100,000 it takes most
of a minute). Both commit to SQLite with full synchronisation before they answer. Runs of the search
have 20 parameters, 10 metrics and 4 tags; narrow ones 4, 2 and 1, so that a million are made in
time. "3 x" is three times the line of 100,000 narrow runs.""")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mlflow", type=Path, default=Path(".venv-mlflow"))
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--runs", type=int, default=100_000, help="runs in our search")
    parser.add_argument("--most-runs", type=int, default=1_000_000, help="0: leaves it out")
    parser.add_argument("--peer-runs", type=int, default=2_000, help="runs in MLflow's search")
    parser.add_argument("--peers", type=int, default=2, help="0: ours alone")
    chosen = parser.parse_args()
    mlflow = chosen.mlflow.absolute()
    # Whoever ends this ends the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.perf_counter()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    ours = measure(OURS, mlflow, chosen.calls) | recording()
    ours |= search(OURS, mlflow, chosen.runs)
    for runs in (chosen.runs, chosen.most_runs) if chosen.most_runs else ():
        ours |= search(OURS, mlflow, runs, NARROW)
    columns = {OURS: ours, NOTHING: alone(mlflow, chosen.calls)}
    show(columns)  # so that what was measured is there if a peer takes for ever
    for kind in (DEFAULT, ONE)[: chosen.peers]:
        columns[kind] = measure(kind, mlflow, chosen.calls)
        columns[kind] |= search(kind, mlflow, chosen.peer_runs)
    show(columns)
    say(chosen.peer_runs)
    print(f"{time.perf_counter() - began:.0f} seconds in all.")


if __name__ == "__main__":
    main()
