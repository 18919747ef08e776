"""Ray keeps what the compute port promises, and scores as this process does."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from mainspring._bootstrap.scoring import Manner, score_dataset
from mainspring._bootstrap.workspace import open_workspace
from mainspring._entrypoints.cli import main
from mainspring.testing import ComputeSuite

ROWS = 3000


class TestRayProcesses(ComputeSuite):
    @pytest.fixture
    def compute(self, ray_processes):
        return ray_processes


def descendants():
    """This process and those that came from it, as Ray's do. Source: proc(5), stat."""
    parents = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                after_name = (process / "stat").read_text().rpartition(")")[2].split()
                parents[int(process.name)] = int(after_name[1])
    found = {os.getpid()}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def listening():
    """The addresses on which they take connections, as the kernel writes them."""
    sockets = set()
    for number in descendants():
        with suppress(OSError):
            sockets |= {str(one.readlink()) for one in Path(f"/proc/{number}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                found.add(words[1].partition(":")[0])
    return found


def test_a_ray_of_this_machine_is_on_loopback_alone(ray_processes):
    """Nobody else can reach it."""
    found = listening()
    assert found
    assert found <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert ray_processes.workers == 2


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A dataset of 3,000 rows that holds the inputs of a LightGBM model."""
    random = np.random.default_rng(5)
    lines = ["order_id,amount,items"]
    lines += [f"o{n:05},{random.uniform(1, 99):.2f},{random.integers(1, 9)}" for n in range(ROWS)]
    (tmp_path / "orders.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "shop", "--csv", "orders.csv", "--yes"]) == 0
    monkeypatch.chdir(tmp_path / "shop")
    assert main(["data", "ingest"]) == 0
    sample = {"amount": random.uniform(1, 99, 400), "items": random.integers(1, 9, 400) * 1.0}
    matrix = np.column_stack(list(sample.values()))
    target = (matrix[:, 0] * matrix[:, 1] > 200) * 1
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, target), 20)
    with open_workspace(tmp_path / "shop") as workspace:
        workspace.models.save("late", booster, sample=sample)
    return tmp_path / "shop"


class Stopped(Exception):  # noqa: N818 - it is no error
    """Somebody has pressed Ctrl-C."""


def test_a_dataset_is_scored_by_ray_as_by_threads_and_by_processes(shop, ray_processes):
    """To the bit; a run that was cut off goes on where it was."""

    def stop(progress):
        if progress.parts_done == 4:
            raise Stopped

    manners = {
        "threads": Manner(rows_per_part=200),
        "processes": Manner(workers=2, rows_per_part=200),
        "by-ray": Manner(workers=2, on="ray", rows_per_part=200),
    }
    found = {}
    with open_workspace(shop) as workspace:
        for name, how in manners.items():
            if name == "by-ray":
                with pytest.raises(Stopped):
                    score_dataset(workspace, "late/1", "rows", name, stop, how=how)
            done = score_dataset(workspace, "late/1", "rows", name, lambda _: None, how=how)
            assert done.output.rows == ROWS
            assert done.parts == 15
            assert done.rows < ROWS if name == "by-ray" else done.rows == ROWS
            rows = workspace.datasets.read(f'SELECT * FROM "{name}" ORDER BY 1', {name: None})
            found[name] = {column: values.tolist() for column, values in rows.items()}
    assert found["threads"] == found["processes"] == found["by-ray"]
    assert len(set(found["threads"]["score"])) > 20


def test_a_cluster_that_is_not_there_is_said():
    """At once, in a process that has no Ray yet; and the process goes on."""
    script = (
        "from mainspring._adapters.ray.compute import RayProcesses\n"
        "from mainspring.core.errors import Unavailable\n"
        "for address in ('127.0.0.1:1', 'ray://127.0.0.1:1'):\n"
        "    try:\n"
        "        RayProcesses(1, address)\n"
        "    except Unavailable as error:\n"
        "        print(error.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.split() == ["compute.no_cluster"] * 2, done.stderr[-2000:]
