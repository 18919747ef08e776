from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import needs
from wire import Wire, serving

CLIENT = Path(__file__).with_name("client")

pytestmark = pytest.mark.services


@pytest.fixture(scope="session", params=["mlflow", "mlflow-old"])
def client_python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with the newest, and with an older, real client."""
    return needs.environment(request.param)


@pytest.fixture(scope="session")
def address(client_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own for each client: both make the same names."""
    with serving(tmp_path_factory.mktemp(client_python.parents[1].name.strip("."))) as (url, _):
        yield url


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """A fresh server, spoken to in raw JSON."""
    with serving(tmp_path) as (url, _):
        wire = Wire(url)
        yield wire
        wire.http.close()


@pytest.fixture(scope="session")
def exporter_python() -> Path:
    """The Python of an environment with OpenTelemetry's own exporter."""
    return needs.environment("mlflow-old")


def run_client(python: Path, script: str, *arguments: str) -> str:
    done = subprocess.run(
        [str(python), str(CLIENT / script), *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize(
    "step", ["experiments", "runs", "searches", "artifacts", "inputs", "registry", "prompts"]
)
def test_a_walk_through_the_client(client_python: Path, address: str, step: str) -> None:
    """What the client offers for tracking and registry works as against its own server."""
    assert f"ok {step}" in run_client(client_python, "walk.py", address, step)


@pytest.mark.parametrize("step", ["histories", "datasets", "prompts"])
def test_further_calls(client_python: Path, wire: Wire, step: str) -> None:
    """Histories of many runs, datasets to choose from, and all that clients do with prompts."""
    assert f"ok {step}" in run_client(client_python, "further.py", wire.address, step)


@pytest.mark.parametrize(
    "step", ["spans", "run_traces", "searches", "assessments", "links", "sessions"]
)
def test_traces(client_python: Path, address: str, step: str) -> None:
    """Spans, searches of traces, tags and assessments; the older client keeps spans in a file."""
    assert f"ok {step}" in run_client(client_python, "traces.py", address, step)


def test_large_files_in_parts(client_python: Path, tmp_path: Path) -> None:
    """A large file goes up in parts, with a token and in bounded memory, and comes down the same."""
    token = "secret" * 6
    with serving(tmp_path, token=token) as (address, process):
        found = run_client(client_python, "large_files.py", address, token, str(process.pid))
    assert "ok large files" in found


def test_any_opentelemetry_exporter(exporter_python: Path, wire: Wire) -> None:
    """Spans of OpenTelemetry's own exporter, plain and with gzip, are traces."""
    assert "ok exporter" in run_client(exporter_python, "exporter.py", wire.address)
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    asked = {"locations": [location], "filter": "tags.`service.name` = 'shop'"}
    found = wire.http.post("/api/3.0/mlflow/traces/search", json=asked).json()["traces"]
    assert [trace["tags"]["mlflow.traceName"] for trace in found] == ["gzip", "none"]
    whole = wire.http.get(
        "/api/3.0/mlflow/traces/get", params={"trace_id": found[0]["trace_id"]}
    ).json()["trace"]["spans"]
    assert [span["name"] for span in whole] == ["gzip", "inner"]
    assert whole[0]["status"] == {"message": "went wrong", "code": "STATUS_CODE_ERROR"}
    assert whole[1]["links"][0]["attributes"] == [{"key": "why", "value": {"string_value": "next"}}]
    values = {one["key"]: one["value"] for one in whole[1]["attributes"]}
    assert values["list"] == {"array_value": {"values": [{"int_value": 1}, {"int_value": 2}]}}
    assert values["ratio"] == {"double_value": 0.5}


def test_autologging(client_python: Path, wire: Wire) -> None:
    """scikit-learn, LightGBM and XGBoost log themselves, and their models load back."""
    found = run_client(client_python, "autolog.py", wire.address)
    assert all(f"ok {name}" in found for name in ("sklearn", "lightgbm", "xgboost"))
