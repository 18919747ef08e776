"""Taking runs in from a server that speaks MLflow's wire, ours standing for any."""

from __future__ import annotations

from pathlib import Path

import pytest
from wire import Wire

from mainspring._bootstrap.importing import import_runs
from mainspring._bootstrap.workspace import open_workspace
from mainspring._entrypoints.cli import main
from mainspring.core.errors import Unavailable


def test_a_server_comes_in_whole(wire: Wire, tmp_path: Path) -> None:
    """Runs, full histories, artifacts, aliases and sources, once however often asked."""
    experiment = wire.post("experiments/create", name="to import")["experiment_id"]
    run_id = wire.new_run(experiment_id=experiment, run_name="far")
    metrics = [{"key": "m", "value": i, "timestamp": i, "step": i} for i in range(900)]
    wire.post("runs/log-batch", run_id=run_id, metrics=metrics, params=[{"key": "p", "value": "1"}])
    wire.post("runs/log-metric", run_id=run_id, key="n", value="NaN", timestamp=1, step=0)
    path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run_id}/artifacts/d/a%20b.txt"
    assert wire.http.put(path, content=b"hello").status_code == 200
    wire.post("runs/update", run_id=run_id, status="FAILED", end_time=5000)
    wire.post("registered-models/create", name="to-import")
    source = f"runs:/{run_id}/d"
    wire.post("model-versions/create", name="to-import", source=source, run_id=run_id)
    wire.post("registered-models/alias", name="to-import", alias="champion", version="1")
    with open_workspace(tmp_path) as workspace:
        for again in (False, True):
            taken = import_runs(workspace, wire.address)
            assert [one for one in taken.differences if run_id in one.where] == []
            assert (taken.runs == 0) is again
            assert (taken.versions == 0) is again
        found = workspace.tracking.runs.get(run_id)
        assert (found.status, found.end_ms, found.params) == ("FAILED", 5000, {"p": "1"})
        assert len(workspace.tracking.runs.history(run_id, "m").items) == 900
        tree = found.artifact_uri.removeprefix("mlflow-artifacts:/")
        with workspace.tracking.artifacts.open(f"{tree}/d/a b.txt")[1] as stream:
            assert stream.read() == b"hello"
        assert workspace.registry.aliases.resolve("to-import@champion").run_id == run_id


def test_a_server_that_is_away_is_said(tmp_path: Path) -> None:
    """Nobody there is an error that says what to do."""
    with (
        open_workspace(tmp_path) as workspace,
        pytest.raises(Unavailable, match="Import again"),
    ):
        import_runs(workspace, "http://127.0.0.1:9")


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Export to a file, import from it elsewhere; an existing file is not overwritten."""
    with open_workspace(tmp_path / "a") as workspace:
        run = workspace.tracking.runs.create("0", name="r")
    (tmp_path / "b").mkdir()
    file = str(tmp_path / "run.zip")
    export = ["runs", "export", run.id, "-o", file, "--workspace", str(tmp_path / "a")]
    assert main(export) == 0
    assert main(export) == 1
    take = ["runs", "import", file, "--workspace", str(tmp_path / "b")]
    assert main(take) == 0
    assert "Runs" in capsys.readouterr().out
    with open_workspace(tmp_path / "b") as workspace:
        assert workspace.tracking.runs.get(run.id).name == "r"
