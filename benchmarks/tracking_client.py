"""What a stock MLflow client measures against a server: python tracking_client.py URI CALLS."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import statistics
import sys
import time

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true")


def one_by_one(uri: str, calls: int) -> list[float]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    run = client.create_run("0").info.run_id
    client.log_metric(run, "m", 0.0)
    times = []
    for step in range(calls):
        started = time.perf_counter()
        client.log_metric(run, "m", 1.0, step=step)
        times.append(time.perf_counter() - started)
    return times


def log_metric(uri: str, calls: int) -> dict[str, float]:
    times = sorted(one_by_one(uri, calls))
    return {
        "log_metric, one client (calls/s)": calls / sum(times),
        "log_metric, p50 (ms)": 1e3 * statistics.median(times),
    }


def four_clients(uri: str, calls: int) -> dict[str, float]:
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.starmap(one_by_one, [(uri, 1)] * 4)
        started = time.perf_counter()
        times = sorted(t for part in pool.starmap(one_by_one, [(uri, calls)] * 4) for t in part)
        seconds = time.perf_counter() - started
    return {
        "log_metric, four clients (calls/s)": len(times) / seconds,
        "log_metric, four clients, p99 (ms)": 1e3 * times[int(len(times) * 0.99)],
    }


def create_and_finish(uri: str, calls: int) -> dict[str, float]:
    from mlflow import MlflowClient
    from mlflow.entities import Param

    client = MlflowClient(uri)
    params = [Param(f"p{i}", str(i)) for i in range(20)]
    client.set_terminated(client.create_run("0").info.run_id)  # what a client asks only once
    started = time.perf_counter()
    for _ in range(calls):
        run = client.create_run("0").info.run_id
        client.log_batch(run, params=params)
        client.set_terminated(run)
    return {"create + 20 params + finish (runs/s)": calls / (time.perf_counter() - started)}


def raw(uri: str, batches: int) -> dict[str, float]:
    connection = http.client.HTTPConnection(uri.removeprefix("http://"), timeout=120)

    def call(method: str, path: str, body: object = None) -> bytes:
        kind = {"content-type": "application/json"}
        data = None if body is None else json.dumps(body)
        connection.request(method, f"/api/2.0/mlflow/{path}", data, kind)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return text

    made = json.loads(call("POST", "runs/create", {"experiment_id": "0", "start_time": 1}))
    run = made["run"]["info"]["run_id"]
    bodies = [
        {
            "run_id": run,
            "metrics": [
                {
                    "key": f"k{i % 10}",
                    "value": i / 7,
                    "timestamp": 1_700_000_000_000 + b,
                    "step": b * 100 + i // 10,
                }
                for i in range(1000)
            ],
        }
        for b in range(batches)
    ]
    call("POST", "runs/log-batch", bodies[0])
    started = time.perf_counter()
    for body in bodies[1:]:
        call("POST", "runs/log-batch", body)
    rate = 1000 * (batches - 1) / (time.perf_counter() - started)
    for b in range(100):
        metrics = [
            {"key": "h", "value": i / 7, "timestamp": 1_700_000_000_000 + b, "step": b * 1000 + i}
            for i in range(1000)
        ]
        call("POST", "runs/log-batch", {"run_id": run, "metrics": metrics})
    times = []
    for _ in range(3):
        started = time.perf_counter()
        call("GET", f"metrics/get-history?run_id={run}&metric_key=h")
        times.append(time.perf_counter() - started)
    return {
        "log_batch of 1000, raw HTTP (metrics/s)": rate,
        "history of 100,000 points, JSON, first read (ms)": 1e3 * times[0],
        "history of 100,000 points, JSON (ms)": 1e3 * statistics.median(times),
    }


def search(uri: str, _calls: int) -> dict[str, float]:
    connection = http.client.HTTPConnection(uri.removeprefix("http://"), timeout=120)
    body = {
        "experiment_ids": ["0"],
        "filter": "metrics.metric_0 > 0.5 and params.param_03 = '7'",
        "order_by": ["metrics.metric_1 DESC"],
        "max_results": 100,
    }
    times = []
    for _ in range(7):
        started = time.perf_counter()
        kind = {"content-type": "application/json"}
        connection.request("POST", "/api/2.0/mlflow/runs/search", json.dumps(body), kind)
        found = json.loads(connection.getresponse().read())
        times.append(time.perf_counter() - started)
        assert found["runs"], found
    return {"search (ms)": 1e3 * statistics.median(times)}


if __name__ == "__main__":
    what, uri, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print(json.dumps(globals()[what](uri, calls)))
