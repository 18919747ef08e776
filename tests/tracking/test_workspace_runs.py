from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import mainspring as ms
from mainspring._bootstrap import workspace as workspace_module

_TRAINING = """
import mainspring as ms
ws = ms.open()
with ws.runs.start("name") as run:
    run.log({"loss": 1.0}, step=1)
print(run.id)
"""


def test_a_fresh_folder_takes_runs_at_once(tmp_path: Path) -> None:
    """Four lines in an empty folder, no closing: the run and its point are there afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", _TRAINING], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    with ms.open(tmp_path / ".mainspring") as ws:
        run = ws.runs.get(done.stdout.strip())
    assert (run.name, run.status, run.metrics[0].value) == ("name", "FINISHED", 1.0)


def test_closing_the_workspace_sends_what_is_queued_and_leaves_no_spool(tmp_path: Path) -> None:
    """What was logged before the close is stored, and the process's spool file is gone."""
    with ms.open(tmp_path) as ws:
        run = ws.runs.start()
        for step in range(100):
            run.log({"loss": float(step)}, step=step)
    with ms.open(tmp_path) as ws:
        assert len(ws.tracking.runs.history(run.id, "loss").items) == 100
        folder = ws.folder / "spool"
    assert list(folder.iterdir()) == []


def test_a_workspace_that_starts_no_run_opens_no_spool(tmp_path: Path) -> None:
    """Listings start no thread and leave no file."""
    with ms.open(tmp_path) as ws:
        assert ws.tracking.runs.search(["0"]).items == ()
        assert not (ws.folder / "spool").exists()


def test_the_example_runs() -> None:
    """The example in the workspace's docstring does what it says."""
    failed, tried = doctest.testmod(workspace_module)
    assert (failed, tried > 0) == (0, True)
