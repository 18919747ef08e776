"""Garbage collection: frees what was deleted, and never what anything still needs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mainspring._bootstrap.workspace import Workspace, open_workspace
from mainspring.core.digest import sha256
from mainspring.core.errors import Invalid, MainspringError, NotFound
from mainspring.governance.garbage import Found
from mainspring.registry.details import Details
from mainspring.tracking import Batch, Point
from mainspring.tracking.types import HOLD_TAG, ModelLink

NOW = timedelta(0)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws") as workspace:
        yield workspace


def run_with(workspace: Workspace, data: bytes, experiment: str = "0") -> str:
    run = workspace.tracking.runs.create(experiment)
    many = tuple(Point("many", 1.0, step, 0) for step in range(50))
    batch = Batch(points=(Point("m", 1.0, 0, 0), *many), params=(("p", "1"),))
    workspace.tracking.runs.log(run.id, batch).result()
    workspace.tracking.artifacts.put(f"{experiment}/{run.id}/artifacts/data.bin", data)
    return run.id


def rows(workspace: Workspace, table: str) -> int:
    found = workspace.database.read(lambda db: db.one(f"SELECT count(*) FROM {table}"))
    return int(found[0]) if found else 0


def test_a_deleted_run_goes_with_its_bytes_and_nothing_else(workspace: Workspace) -> None:
    """A look tells what a collection then does; what both runs share stays."""
    gone, kept = run_with(workspace, b"only mine"), run_with(workspace, b"kept")
    for run in (gone, kept):
        workspace.tracking.artifacts.put(f"0/{run}/artifacts/shared.bin", b"shared")
    assert workspace.garbage.look(grace=NOW) == Found()
    workspace.tracking.runs.delete(gone)
    told = workspace.garbage.look(grace=NOW)
    assert told == Found(runs=(gone,), objects=1, size_bytes=len(b"only mine"))
    assert workspace.garbage.look(grace=NOW) == told  # it changed nothing
    assert workspace.garbage.collect(grace=NOW) == told
    assert workspace.garbage.collect(grace=NOW) == Found()
    with pytest.raises(NotFound):
        workspace.tracking.runs.get(gone)
    assert workspace.objects.get(sha256(b"shared")) == b"shared"
    assert workspace.tracking.runs.get(kept).params == {"p": "1"}
    tables = ("runs", "metric_rows", "metric_blocks", "latest")
    assert [rows(workspace, table) for table in tables] == [1, 1, 1, 2]
    assert [entry.name for entry in workspace.tracking.artifacts.entries("0")] == [kept]
    assert workspace.governance.verify().ok


def test_an_experiment_takes_its_runs_along(workspace: Workspace) -> None:
    """Runs of a deleted experiment go; one that was restored in time stays whole."""
    experiments = workspace.tracking.experiments
    first, second = experiments.ensure("first").id, experiments.ensure("second").id
    gone, kept = run_with(workspace, b"a", first), run_with(workspace, b"b", second)
    for experiment in (first, second):
        experiments.delete(experiment)
    assert set(workspace.garbage.look(grace=NOW).runs) == {gone, kept}
    experiments.restore(second)
    assert workspace.garbage.collect(grace=NOW).runs == (gone,)
    assert workspace.tracking.runs.get(kept).state == "active"


@pytest.mark.parametrize("how", ["run_id", "runs:", "mlflow-artifacts:"])
def test_what_a_version_names_stays(workspace: Workspace, how: str) -> None:
    """A run that a model version came from is not garbage, even when both were deleted."""
    run = run_with(workspace, b"weights")
    source = {
        "run_id": "s3://bucket/model",
        "runs:": f"runs:/{run}/model",
        "mlflow-artifacts:": f"mlflow-artifacts:/0/{run}/artifacts/model",
    }[how]
    workspace.registry.models.register("m")
    details = Details(source=source, run_id=run if how == "run_id" else "")
    workspace.registry.versions.create_from_source("m", details)
    workspace.tracking.runs.delete(run)
    assert workspace.garbage.collect(grace=NOW) == Found(kept=1)
    workspace.registry.models.delete("m")
    assert workspace.garbage.collect(grace=NOW) == Found(kept=1)
    assert workspace.tracking.artifacts.find(f"0/{run}/artifacts/data.bin").size_bytes == 7
    assert workspace.objects.get(sha256(b"weights")) == b"weights"


def test_step_results_stay(workspace: Workspace) -> None:
    """What a pipeline kept for the next execution is needed."""
    running = workspace.executions.begin("p")
    assert running.step("one", sha256(b"key"), lambda: [1, 2, 3]) == [1, 2, 3]
    running.end("done")
    assert workspace.garbage.collect(grace=NOW) == Found()
    assert workspace.executions.kept(sha256(b"key")) == ([1, 2, 3],)


def test_a_deleted_logged_model_goes(workspace: Workspace) -> None:
    """A logged model's files go once it is deleted; its run, which a live one names, stays."""
    run = run_with(workspace, b"data")
    models = workspace.tracking.models
    gone, kept = (models.create("0", name=name, run_id=run) for name in ("gone", "kept"))
    for model in (gone, kept):
        path = f"0/models/{model.id}/artifacts/model.bin"
        workspace.tracking.artifacts.put(path, model.name.encode())
    models.delete(gone.id)
    workspace.tracking.runs.delete(run)
    found = workspace.garbage.collect(grace=NOW)
    assert (found.models, found.runs, found.kept, found.objects) == ((gone.id,), (), 1, 1)
    assert models.get(kept.id).run_id == run


def test_what_is_held_stays_until_it_is_let_go(workspace: Workspace) -> None:
    """A tag on the run, on its experiment or on a logged model; without the tag it goes."""
    tracking = workspace.tracking
    trial = tracking.experiments.create("trial").id
    runs = [run_with(workspace, b"1"), run_with(workspace, b"2", trial), run_with(workspace, b"3")]
    model = tracking.models.create("0", name="m", run_id=runs[2], tags={HOLD_TAG: "case 17"})
    tracking.artifacts.put(f"0/models/{model.id}/artifacts/model.bin", b"4")
    tracking.runs.log(runs[0], Batch(tags=((HOLD_TAG, "case 17"),))).result()
    tracking.experiments.tag(trial, {HOLD_TAG: "case 17"})
    tracking.models.delete(model.id)
    for run in runs:
        tracking.runs.delete(run)
    assert workspace.garbage.collect(grace=NOW) == Found(kept=4)
    tracking.experiments.untag(trial, HOLD_TAG)
    assert workspace.garbage.collect(grace=NOW).runs == (runs[1],)
    tracking.runs.restore(runs[0])
    tracking.runs.untag(runs[0], HOLD_TAG)
    tracking.runs.delete(runs[0])
    assert workspace.garbage.collect(grace=NOW).runs == (runs[0],)
    assert workspace.objects.get(sha256(b"4")) == b"4"


def test_a_model_that_a_live_run_read_stays(workspace: Workspace) -> None:
    """Lineage leads back to it; once that run is deleted, both go."""
    tracking = workspace.tracking
    model = tracking.models.create("0", name="m")
    tracking.artifacts.put(f"0/models/{model.id}/artifacts/model.bin", b"read")
    reader = run_with(workspace, b"reader")
    tracking.runs.link(reader, models=[ModelLink(model.id, "input")])
    tracking.models.delete(model.id)
    assert workspace.garbage.collect(grace=NOW) == Found(kept=1)
    tracking.runs.delete(reader)
    found = workspace.garbage.collect(grace=NOW)
    assert (found.models, found.runs, found.objects) == ((model.id,), (reader,), 2)


def test_what_is_young_waits(workspace: Workspace) -> None:
    """Bytes and deletions within the spared time stay, and are told."""
    run = run_with(workspace, b"young")
    workspace.tracking.runs.delete(run)
    assert workspace.garbage.look(older_than=timedelta(days=1)).runs == ()
    found = workspace.garbage.collect(grace=timedelta(hours=1))
    assert (found.objects, found.young, found.young_bytes) == (0, 1, 5)
    assert workspace.garbage.collect(grace=NOW).objects == 1


def test_an_unreadable_package_stops_it(workspace: Workspace) -> None:
    """When a version's manifest cannot be read, its files are unknown, so nothing is freed."""
    workspace.objects.put(b"orphan")
    workspace.registry.models.register("m")
    workspace.registry.versions.create_from_source("m", Details(source="s3://bucket/model"))
    workspace.database.write(
        lambda tx: tx.run("UPDATE model_versions SET package = ?", (sha256(b"nowhere"),))
    )
    with pytest.raises(NotFound):
        workspace.garbage.collect(grace=NOW)
    assert workspace.objects.exists(sha256(b"orphan"))


def test_an_age_is_not_negative(workspace: Workspace) -> None:
    """A grace below zero is a slip of the pen."""
    with pytest.raises(Invalid):
        workspace.garbage.look(grace=timedelta(seconds=-1))


def test_writers_lose_nothing_to_collections(workspace: Workspace, tmp_path: Path) -> None:
    """While collections run, whoever stores old garbage anew and names it can read it after."""
    grace, old = timedelta(seconds=30), time.time() - 3600
    datas = [f"payload {i % 25}".encode() for i in range(150)]
    for data in set(datas):
        name = workspace.objects.put(data).removeprefix("sha256:")
        os.utime(tmp_path / "ws" / "objects" / name[:2] / name[2:4] / name, (old, old))
    done, freed, failures = threading.Event(), [], []

    def collect() -> None:
        while not done.is_set():
            try:
                freed.append(workspace.garbage.collect(grace=grace).objects)
            except MainspringError as error:  # would be a failure of the test
                failures.append(error)

    def write(part: list[bytes]) -> None:
        for data in part:
            workspace.tracking.artifacts.put(f"0/w/{sha256(data)[7:20]}", data)

    collector = threading.Thread(target=collect)
    writers = [threading.Thread(target=write, args=(datas[i::3],)) for i in range(3)]
    for thread in (collector, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    collector.join()
    assert failures == []
    for entry in workspace.tracking.artifacts.entries("0/w"):
        path = f"0/w/{entry.name}"
        with workspace.tracking.artifacts.open(path)[1] as stream:
            assert stream.read() in set(datas)
    assert len(workspace.tracking.artifacts.entries("0/w")) == 25


def test_a_collection_that_died_is_finished_by_the_next(workspace: Workspace) -> None:
    """Dying at any object leaves a workspace that the next collection cleans."""
    runs = [run_with(workspace, f"data {i}".encode()) for i in range(5)]
    for run in runs:
        workspace.tracking.runs.delete(run)
    garbage = workspace.garbage

    class Dying:
        """Objects whose third deletion is the process's last act."""

        left = 2

        def __getattr__(self, name: str) -> object:
            return getattr(workspace.objects, name)

        def delete(self, digest: str, *, idle_seconds: float = 0.0) -> bool:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            return workspace.objects.delete(digest, idle_seconds=idle_seconds)  # type: ignore[arg-type]

    dying = type(garbage)(
        garbage.database,
        Dying(),
        garbage.store,
        garbage.clock,
        garbage.versions,  # type: ignore[arg-type]
    )
    with pytest.raises(KeyboardInterrupt):
        dying.collect(grace=NOW)
    assert garbage.collect(grace=NOW).objects == 3
    assert list(workspace.objects.list()) == []
