from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests import needs

CLIENT = Path(__file__).with_name("client")

pytestmark = pytest.mark.services


@pytest.fixture(scope="session")
def client_python() -> Path:
    """The Python of an environment with the real client, made at the first use."""
    return needs.environment("mlflow")


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


@pytest.mark.parametrize(
    "step", ["spans", "run_traces", "searches", "assessments", "links", "sessions"]
)
def test_traces(client_python: Path, address: str, step: str) -> None:
    """Spans, searches of traces, tags and assessments; the older client keeps spans in a file."""
    assert f"ok {step}" in run_client(client_python, "traces.py", address, step)


def test_autologging(newest_python: Path, address: str) -> None:
    """scikit-learn, LightGBM and XGBoost log themselves, and their models load back."""
    found = run_client(newest_python, "autolog.py", address)
    assert all(f"ok {name}" in found for name in ("sklearn", "lightgbm", "xgboost"))
