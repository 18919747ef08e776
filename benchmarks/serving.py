"""The gateway beside FastAPI: same LightGBM model, same machine, one worker each, one run.

``python benchmarks/serving.py [--peer-python PYTHON] [--seconds S] [--rounds N]``. The peer runs in
its own interpreter (it needs fastapi, uvicorn and lightgbm there); without it only ours is shown.
Answers are compared before anything is timed. Rounds are interleaved and the median is shown, with
the processor time of the server per request: on a busy machine that is the steadier number. Ours
runs with validation, prediction records and metrics on; FastAPI predicts and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
COLUMNS = 18

PEER = """
import sys
import lightgbm, numpy, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

booster = lightgbm.Booster(model_file=sys.argv[1])
app = FastAPI()

class Rows(BaseModel):
    data: list[list[float]]

@app.post("/predict")
def predict(rows: Rows):
    scores = booster.predict(numpy.array(rows.data), num_threads=1)
    return {"score": scores.tolist()}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
"""

OURS = """
import sys
from pathlib import Path
from mainspring._adapters.files.objects import FileObjects
from mainspring._adapters.lightgbm.runtime import LightgbmRuntime
from mainspring._entrypoints.inference import GatewaySettings, run

run(
    GatewaySettings(Path(sys.argv[1]) / "serving", port=int(sys.argv[2])),
    FileObjects(Path(sys.argv[1]) / "objects"),
    {"lightgbm": LightgbmRuntime()},
    ready=lambda address: None,
)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, seconds: float = 60) -> float:
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.01)
        else:
            return time.perf_counter() - started
    raise TimeoutError(port)


def train(folder: Path):
    import lightgbm

    random = np.random.default_rng(20130101)
    rows = random.normal(size=(20_000, COLUMNS))
    target = (rows[:, 0] + rows[:, 1] * rows[:, 2] + random.normal(size=len(rows)) > 0).astype(
        float
    )
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, target), 200)
    booster.save_model(folder / "model.txt")
    return booster, rows


def deploy(folder: Path) -> None:
    from mainspring._adapters.files.objects import FileObjects
    from mainspring.core.digest import canonical_json
    from mainspring.core.schema import InputColumn, Signature
    from mainspring.registry.manifest import Decision, Manifest
    from mainspring.serving import GatewayControl, Route, Variant

    objects = FileObjects(folder / "objects")
    manifest = Manifest(
        name="bench",
        task="binary",
        runtime="lightgbm",
        signature=Signature(
            tuple(InputColumn(f"x{n}", "number") for n in range(COLUMNS)), "probability"
        ),
        files={"model.txt": objects.put((folder / "model.txt").read_bytes())},
        decision=Decision(threshold=0.5),
    )
    digest = objects.put(canonical_json(manifest))
    control = GatewayControl(folder / "serving")
    control.deploy("bench", Route(variants=(Variant(name="one", model=digest, version="1"),)))
    control.close()


def ask(url: str, body: bytes, headers: list[str]) -> tuple[bytes, str | None]:
    request = urllib.request.Request(url, body, dict(h.split(": ", 1) for h in headers))
    with urllib.request.urlopen(request) as response:
        return response.read(), response.headers.get("Inference-Header-Content-Length")


def processor_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


def load(server, case, seconds: float, connections: int) -> dict:
    url, body, headers = case
    before = processor_seconds(server.pid)
    command = [sys.executable, str(HERE / "serving_load.py"), url, str(seconds), str(connections)]
    done = subprocess.run([*command, *headers], input=body, capture_output=True, check=True)
    said = json.loads(done.stdout)
    if said["failures"]:
        raise RuntimeError(f"{url}: {said['failures']} failures")
    requests = said["requests_per_second"] * seconds * 4 / 3  # the warm-up is a third more
    said["cpu_us"] = (processor_seconds(server.pid) - before) / requests * 1e6
    return said


def cases(port: int, peer_port: int, rows: np.ndarray) -> dict:
    """Name -> (connections, rows, our case, the peer's case)."""
    json_type = ["Content-Type: application/json"]
    made = {}
    for name, connections, count in (
        ("1 row, 1 connection", 1, 1),
        ("1 row, 64 connections", 64, 1),
    ):
        made[name] = (connections, count, json_type, False)
    made["1,000 rows, JSON, 4 connections"] = (4, 1000, json_type, False)
    made["1,000 rows, binary, 4 connections"] = (4, 1000, json_type, True)
    result = {}
    for name, (connections, count, headers, binary) in made.items():
        some = rows[:count]
        peer = json.dumps({"data": some.tolist()}).encode()
        tensor = {"name": "rows", "shape": list(some.shape), "datatype": "FP64"}
        if binary:
            raw = np.ascontiguousarray(some).tobytes()
            tensor["parameters"] = {"binary_data_size": len(raw)}
            parameters = {"binary_data_output": True}
            head = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
            ours, mine = head + raw, [f"Inference-Header-Content-Length: {len(head)}"]
        else:
            tensor["data"] = some.ravel().tolist()
            ours, mine = json.dumps({"inputs": [tensor]}).encode(), []
        result[name] = (
            connections,
            count,
            (f"http://127.0.0.1:{port}/v2/models/bench/infer", ours, [*headers, *mine]),
            (f"http://127.0.0.1:{peer_port}/predict", peer, headers),
        )
    return result


def check(booster, rows: np.ndarray, ours, peer, *, with_peer: bool) -> None:
    body, length = ask(*ours)
    if length is None:
        score = json.loads(body)["outputs"][0]["data"]
    else:
        score = np.frombuffer(body[int(length) :], "<f8", count=len(rows)).tolist()
    expected = booster.predict(rows).tolist()
    if score != expected:
        raise AssertionError("our answers are not the model's")
    if with_peer and json.loads(ask(*peer)[0])["score"] != expected:
        raise AssertionError("the peer's answers are not the model's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", default=None)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        booster, rows = train(folder)
        port, peer_port = free_port(), free_port()
        ours = subprocess.Popen([sys.executable, "-c", OURS, name, str(port)])
        started = wait_for(port)
        while not (folder / "serving" / "gateway.json").exists():
            time.sleep(0.01)
        deploy(folder)
        servers, peer = [ours], None
        print(f"ours: listening after {started:.2f} s")
        if arguments.peer_python:
            command = [arguments.peer_python, "-c", PEER, str(folder / "model.txt"), str(peer_port)]
            peer = subprocess.Popen(command)
            servers.append(peer)
            print(f"FastAPI: listening after {wait_for(peer_port):.2f} s")
        try:
            compare(arguments, booster, rows, (port, peer_port), (ours, peer))
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait(20)


def compare(arguments, booster, rows, ports, servers) -> None:
    ours, peer = servers
    print(
        f"{'work':36} {'server':8} {'req/s':>8} {'rows/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'cpu us':>8}"
    )
    for name, (connections, count, our_case, peer_case) in cases(*ports, rows).items():
        check(booster, rows[:count], our_case, peer_case, with_peer=peer is not None)
        rounds = {"ours": [], "FastAPI": []}
        for _ in range(arguments.rounds):
            rounds["ours"].append(load(ours, our_case, arguments.seconds, connections))
            if peer is not None:
                rounds["FastAPI"].append(load(peer, peer_case, arguments.seconds, connections))
        medians = {
            who: {key: statistics.median(one[key] for one in some) for key in some[0]}
            for who, some in rounds.items()
            if some
        }
        for who, m in medians.items():
            rate = m["requests_per_second"]
            print(
                f"{name:36} {who:8} {rate:8.0f} {rate * count:9.0f} {m['p50_ms']:8.2f} "
                f"{m['p99_ms']:8.2f} {m['cpu_us']:8.0f}"
            )
        if len(medians) > 1:
            one, other = medians["ours"], medians["FastAPI"]
            rate = one["requests_per_second"] / other["requests_per_second"]
            print(
                f"{'':36} {'ratio':8} {rate:8.1f} {rate:9.1f} {one['p50_ms'] / other['p50_ms']:8.2f} "
                f"{one['p99_ms'] / other['p99_ms']:8.2f} {one['cpu_us'] / other['cpu_us']:8.2f}"
            )
    for who, server in (("ours", ours), ("FastAPI", peer)):
        if server is not None:
            print(f"{who}: {memory_mb(server.pid):.0f} MB (PSS)")


if __name__ == "__main__":
    main()
