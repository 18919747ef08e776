"""How each peer is started with a model, asked with rows, and read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Case

PEERS = Path(__file__).parent / "peers"
JSON = {"Content-Type": "application/json"}
Rows = list[list[Any]]
Started = tuple[list[str], dict[str, str]]  # command, environment


@dataclass(frozen=True)
class Peer:
    """``start(python, kind, model, folder, port)``; ``ask(kind, rows)`` gives path and document."""

    name: str
    environment: str
    start: Callable[[Path, str, Path, Path, int], Started]
    ask: Callable[[str, Rows], tuple[str, dict[str, Any]]]
    read: Callable[[dict[str, Any]], list[float]]

    def case(self, port: int, kind: str, rows: Rows) -> Case:
        path, document = self.ask(kind, rows)
        return Case(f"http://127.0.0.1:{port}{path}", json.dumps(document).encode(), JSON)

    def scores(self, body: bytes) -> list[float]:
        return self.read(json.loads(body))


def plain_rows(_: str, rows: Rows) -> tuple[str, dict[str, Any]]:
    return "/predict", {"data": rows}


def plain_scores(said: dict[str, Any]) -> list[float]:
    return list(said["score"])


def script(name: str) -> Callable[[Path, str, Path, Path, int], Started]:
    def start(python: Path, kind: str, model: Path, _: Path, port: int) -> Started:
        return [str(python), str(PEERS / name), kind, str(model), str(port)], {}

    return start


def bentoml(python: Path, kind: str, model: Path, folder: Path, port: int) -> Started:
    command = [str(python.with_name("bentoml")), "serve", "bentoml_service:Scores"]
    command += ["--port", str(port), "--host", "127.0.0.1", "--working-dir", str(PEERS)]
    home = {"BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    return command, {"KIND": kind, "MODEL": str(model), "PYTHONPATH": str(PEERS), **home}


def mlflow(python: Path, kind: str, model: Path, folder: Path, port: int) -> Started:
    saved = folder / f"mlflow-{kind}"
    if not saved.exists():
        command = [str(python), str(PEERS / "mlflow_model.py"), kind, str(model), str(saved)]
        subprocess.run(command, check=True, capture_output=True)
    command = [str(python.with_name("mlflow")), "models", "serve", "-m", str(saved)]
    command += ["-p", str(port), "-h", "127.0.0.1", "-w", "1", "--env-manager", "local"]
    path = f"{python.parent}:/usr/bin:/bin"
    return command, {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}


def mlflow_rows(kind: str, rows: Rows) -> tuple[str, dict[str, Any]]:
    if kind == "lightgbm":
        return "/invocations", {"inputs": rows}
    names = [f"x{n}" for n in range(len(rows[0]))]
    return "/invocations", {"dataframe_split": {"columns": names, "data": rows}}


def mlflow_scores(said: dict[str, Any]) -> list[float]:
    found = said["predictions"]
    return [one[1] if isinstance(one, list) else one for one in found]


def mlserver(python: Path, kind: str, model: Path, folder: Path, port: int) -> Started:
    home = folder / f"mlserver-{kind}"
    home.mkdir(exist_ok=True)
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1}
    settings |= {"metrics_port": port + 2, "parallel_workers": 0, "debug": False}
    class_ = "lightgbm.LightGBMModel" if kind == "lightgbm" else "sklearn.SKLearnModel"
    described = {"name": "bench", "implementation": f"mlserver_{class_}"}
    described["parameters"] = {"uri": str(model), "version": "1"}
    (home / "settings.json").write_text(json.dumps(settings))
    (home / "model-settings.json").write_text(json.dumps(described))
    return [str(python.with_name("mlserver")), "start", str(home)], {}


def v2_rows(kind: str, rows: Rows) -> tuple[str, dict[str, Any]]:
    path, count = "/v2/models/bench/infer", len(rows)
    if kind == "lightgbm":
        data = [cell for row in rows for cell in row]
        one = {"name": "rows", "shape": [count, len(rows[0])], "datatype": "FP64", "data": data}
        return path, {"inputs": [one]}
    inputs = []
    for place, cells in enumerate(zip(*rows, strict=True)):
        words = isinstance(cells[0], str)
        inputs.append(
            {
                "name": f"x{place}",
                "shape": [count, 1],
                "datatype": "BYTES" if words else "FP64",
                "data": list(cells),
                **({"parameters": {"content_type": "str"}} if words else {}),
            }
        )
    document = {"inputs": inputs, "parameters": {"content_type": "pd"}}
    return path, {**document, "outputs": [{"name": "predict_proba"}]}


def v2_scores(said: dict[str, Any]) -> list[float]:
    output = said["outputs"][0]
    wide = len(output["shape"]) > 1 and output["shape"][1] == 2
    return list(output["data"][1::2] if wide else output["data"])


ALL = (
    Peer("FastAPI", "fastapi", script("fastapi_server.py"), plain_rows, plain_scores),
    Peer("MLServer", "mlserver", mlserver, v2_rows, v2_scores),
    Peer("MLflow", "mlflow", mlflow, mlflow_rows, mlflow_scores),
    Peer("LitServe", "litserve", script("litserve_server.py"), plain_rows, plain_scores),
    Peer("BentoML", "bentoml", bentoml, plain_rows, plain_scores),
    Peer("Ray Serve", "ray", script("ray_server.py"), plain_rows, plain_scores),
)
