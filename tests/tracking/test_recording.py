from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mainspring._adapters.spool import FileSpool
from mainspring.core.errors import Invalid, NotFound, Unavailable
from mainspring.testing.clock import FakeClock
from mainspring.tracking import Tracking
from mainspring.tracking.active import PARENT_TAG, Started, Surroundings
from mainspring.tracking.expressions import metric
from mainspring.tracking.recording import Recorder
from mainspring.tracking.sending import Sender


def sender(tracking: Tracking, spool: FileSpool) -> Sender:
    return Sender(tracking.experiments, tracking.runs, tracking.artifacts, tracking.models, spool)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def runs(tracking: Tracking, tmp_path: Path, told: list[str]) -> Iterator[Started]:
    spool = FileSpool(tmp_path)
    recorder = Recorder(sender(tracking, spool), spool, tell=told.append)
    around = Surroundings({"mlflow.user": "me"}, {"environment.txt": b"numpy==2\n"})
    started = Started(recorder, lambda: around)
    yield started
    started.close()
    spool.close()


def test_a_run_from_start_to_end(runs: Started, tracking: Tracking) -> None:
    """What is logged in a with block is there after it, with what the run was made in."""
    with runs.start("first", experiment="e", params={"rate": 0.1}, tags={"a": "b"}) as run:
        for step in range(5):
            run.log({"loss": 1 / (step + 1), "nan": math.nan}, step=step)
        run.log({"loss": 0.1})
        run.params({"depth": 3})
        run.note("good")
        run.artifact("notes/a.txt", "hello")
        run.table("t.json", {"x": [1, 2], "y": ["a", "b"]})
        run.dataset("flights", "abc", context="train")
        with run.start("inner") as inner:
            inner.log({"x": 1})
    found = runs.get(run.id)
    assert (found.status, found.user, found.params) == (
        "FINISHED",
        "me",
        {"rate": "0.1", "depth": "3"},
    )
    assert found.tags["mlflow.note.content"] == "good"
    assert [p.step for p in tracking.runs.history(run.id, "loss").items] == [0, 1, 2, 3, 4, 5]
    assert runs.get(inner.id).tags[PARENT_TAG] == run.id
    assert [p.value for p in tracking.runs.history(inner.id, "x").items] == [1.0]
    root = f"{found.experiment_id}/{run.id}/artifacts"
    names = [path for path, _ in tracking.artifacts.tree(root)]
    assert names == ["mainspring/environment.txt", "notes/a.txt", "t.json"]
    assert found.datasets[0].dataset.name == "flights"


def test_an_error_fails_the_run_and_is_not_swallowed(runs: Started) -> None:
    """The exception goes on; the run says FAILED, or KILLED after an interrupt."""
    for error, status in ((ZeroDivisionError, "FAILED"), (KeyboardInterrupt, "KILLED")):
        run = runs.start()
        with pytest.raises(error), run:
            raise error
        assert runs.get(run.id).status == status


@pytest.mark.parametrize("values", [{"a//b": 1.0}, {"": 1.0}, {"m": "x"}, {"m": None}, {"m": [1]}])
def test_what_can_never_be_stored_is_told_at_once(runs: Started, values: dict[str, Any]) -> None:
    """A bad name or a text for a number is an error where it was logged; the run goes on."""
    with runs.start() as run:
        with pytest.raises(Invalid):
            run.log(values)
        run.log({"m": 1.0})
    assert [p.key for p in runs.get(run.id).metrics] == ["m"]


def test_values_are_taken_as_they_were(runs: Started, tracking: Tracking) -> None:
    """Changing a dictionary after logging it changes nothing that was logged."""
    values = {"m": 1.0}
    with runs.start() as run:
        for i in range(3):
            values["m"] = float(i)
            run.log(values)
    assert [p.value for p in tracking.runs.history(run.id, "m").items] == [0.0, 1.0, 2.0]


def full(tracking: Tracking, *, pages: int) -> None:
    """Gives the database this many more pages than it has: with none, its disk is full."""

    def work(reader: Any) -> None:
        used = reader.one("PRAGMA page_count")[0]
        reader.one(f"PRAGMA max_page_count = {used + pages}")

    tracking.runs.database.read(work)


@pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)
def test_a_full_disk_neither_blocks_nor_ends_training(
    runs: Started, tracking: Tracking, told: list[str]
) -> None:
    """While the store takes nothing, logging goes on; once it does, all is sent, said in two lines."""
    run = runs.start("r")
    run.log({"m": 0.0})
    run.flush()
    full(tracking, pages=0)
    for step in range(1, 5000):
        run.log({"m": float(step)})
    with pytest.raises(Unavailable, match="spool"):
        run.flush()
    full(tracking, pages=100_000)
    run.end()
    assert len(tracking.runs.history(run.id, "m").items) == 5000
    assert len(told) == 2
    assert "training goes on" in told[0]
    assert "all that was logged is sent" in told[1]


@pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)
def test_the_next_process_sends_what_a_dead_one_left(tracking: Tracking, tmp_path: Path) -> None:
    """A spool whose process is gone is sent once, however often; a torn end does not matter."""
    run = tracking.runs.create("0")
    dead = FileSpool(tmp_path)
    recorder = Recorder(sender(tracking, dead), dead)
    recorder.line(run.id).calls.append((("m",), 1, 10**6, 1.0))
    full(tracking, pages=0)
    for step in range(2, 5000):
        recorder.line(run.id).calls.append((("m",), step, 10**6, 1.0))
    with pytest.raises(Unavailable):
        recorder.flush()
    recorder.close()
    os.write(dead._file, b"\x10\x00\x00\x00torn")
    os.close(dead._file)  # as when the process is killed: the lock goes, the file stays
    full(tracking, pages=100_000)
    for _ in range(2):
        spool = FileSpool(tmp_path)
        recorder = Recorder(sender(tracking, spool), spool)
        recorder.flush()
        recorder.close()
        spool.close()
    assert len(tracking.runs.history(run.id, "m").items) == 4999
    assert list(tmp_path.iterdir()) == []


def test_a_living_spool_is_left_alone(tmp_path: Path) -> None:
    """What another process still holds is not taken from it."""
    one, other = FileSpool(tmp_path), FileSpool(tmp_path)
    one.append(b"mine")
    assert other.adopt() == 0
    assert list(one.records()) == [b"mine"]
    one.clear()
    one.close()
    other.close()


def test_a_closed_spool_writes_to_no_file_that_has_its_number_now(tmp_path: Path) -> None:
    """After the close a record is refused, and another file with the same number stays as it is."""
    spool = FileSpool(tmp_path / "spool")
    number = spool._file
    spool.close()
    with (tmp_path / "other").open("wb") as other:
        assert other.fileno() == number
        with pytest.raises(Unavailable):
            spool.append(b"mine")
        spool.clear()
        spool.close()
    assert (tmp_path / "other").read_bytes() == b""


def test_what_the_store_will_never_take_is_said_and_dropped(
    runs: Started, tracking: Tracking, told: list[str]
) -> None:
    """Logging to a run that was deleted meanwhile ends neither training nor other runs."""
    gone, kept = runs.start("gone"), runs.start("kept")
    tracking.runs.delete(gone.id)
    gone.log({"m": 1.0})
    kept.log({"m": 1.0})
    kept.flush()
    assert [p.key for p in runs.get(kept.id).metrics] == ["m"]
    assert len(told) == 1
    assert "not logged" in told[0]


def test_resuming_goes_on_with_the_same_run(runs: Started) -> None:
    """A finished run runs again under its identifier."""
    with runs.start("r") as run:
        run.log({"m": 1.0})
    with runs.resume(run.id) as again:
        again.log({"m": 2.0}, step=1)
    found = runs.get(run.id)
    assert (again.id, found.metrics[0].value, found.status) == (run.id, 2.0, "FINISHED")


def test_search_gives_columns(runs: Started) -> None:
    """Columns of one length; what a run lacks is None."""
    for i in range(3):
        with runs.start(f"r{i}", experiment="cols") as run:
            run.log({"m": float(i)})
            if i:
                run.params({"p": i})
    found = runs.search("metrics.m >= 0", experiment="cols", order_by=["metrics.m"])
    assert found["name"] == ["r0", "r1", "r2"]
    assert found["metrics.m"] == [0.0, 1.0, 2.0]
    assert found["params.p"] == [None, "1", "2"]


def test_started_runs_are_watched(runs: Started, tracking: Tracking, clock: FakeClock) -> None:
    """A run whose process died without a word is ended as lost."""
    run = runs.start("r")
    clock.advance(50)
    assert tracking.runs.end_lost() == [run.id]


def test_one_refused_value_takes_nothing_else_with_it(
    runs: Started, tracking: Tracking, told: list[str]
) -> None:
    """A parameter that changes is refused alone: points, tags and parameters beside it are kept."""
    with runs.start(params={"depth": 1}) as run:
        run.flush()
        run.params({"depth": 2})
        run.params({"rate": 3})
        run.log({"m": 1.0})
        run.note("kept")
    found = runs.get(run.id)
    assert found.params == {"depth": "1", "rate": "3"}
    assert found.tags["mlflow.note.content"] == "kept"
    assert [point.value for point in tracking.runs.history(run.id, "m").items] == [1.0]
    assert len(told) == 1
    assert "'depth'" in told[0]


def test_a_parameter_is_written_once_also_within_one_breath(runs: Started, told: list[str]) -> None:
    """Of two values that are logged at once the first one stays, and the second is told."""
    with runs.start() as run:
        run.params({"depth": 1})
        run.params({"depth": 2})
        run.params({"rate": 3})
    assert runs.get(run.id).params == {"depth": "1", "rate": "3"}
    assert len(told) == 1


def test_tags_keep_their_order_when_one_batch_is_refused(runs: Started) -> None:
    """A tag that was set again later has the later value, whatever went before it twice."""
    with runs.start(params={"p": 0}) as run:
        run.flush()
        run.tags({"t": "older"})
        run.params({"p": 1})
        run.params({"p": 2})
        run.tags({"t": "newer"})
    assert runs.get(run.id).tags["t"] == "newer"


@pytest.mark.parametrize("step", [np.int64(7), np.int32(7), 7.0, np.float32(7)])
def test_a_step_may_come_from_any_library(runs: Started, tracking: Tracking, step: Any) -> None:
    """Whole numbers of NumPy's are steps; the runs of the process go on being recorded."""
    with runs.start() as run:
        run.log({"m": 1.0}, step=0)
        run.log({"m": 2.0}, step=step)
        run.log({"m": 3.0})
    assert [point.step for point in tracking.runs.history(run.id, "m").items] == [0, 7, 8]


@pytest.mark.parametrize("step", [1.5, "x", 2**70, -(2**70), math.inf, math.nan, [1]])
def test_a_step_that_is_none_is_told_where_it_was_logged(runs: Started, step: Any) -> None:
    """Also when its metric has been logged before: it never reaches the thread that sends."""
    with runs.start() as run:
        run.log({"m": 1.0}, step=3)
        with pytest.raises(Invalid, match="whole number"):
            run.log({"m": 2.0}, step=step)
        run.log({"m": 3.0})
    found = runs.get(run.id)
    assert (found.status, [point.step for point in found.metrics]) == ("FINISHED", [4])


def stored(tracking: Tracking, run: Any, root: str = "") -> list[str]:
    root = root or tracking.runs.get(run.id).artifact_uri
    return [path for path, _ in tracking.artifacts.tree(root.partition(":")[2].strip("/"))]


def test_a_folder_is_an_artifact_and_a_model_with_all_its_files(
    runs: Started, tracking: Tracking, tmp_path: Path
) -> None:
    """Files without a suffix are files too, and a folder whose name has a dot is a folder."""
    folder = tmp_path / "model"
    (folder / "v1.0").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}")
    (folder / "v1.0" / "weights.bin").write_bytes(b"\0")
    with runs.start() as run:
        run.artifact("out", folder)
        uri = run.model("m", folder)
    assert stored(tracking, run)[1:] == ["out/MLmodel", "out/v1.0/weights.bin"]
    model = tracking.models.get(uri.partition("/")[2])
    assert stored(tracking, run, model.artifact_uri) == ["MLmodel", "v1.0/weights.bin"]


def test_what_is_no_artifact_is_told_in_words(runs: Started, tmp_path: Path) -> None:
    """A dictionary, a missing file, an empty folder, half a letter: an error that says what to do."""
    (tmp_path / "empty").mkdir()
    with runs.start() as run:
        for content in ({"a": 1}, 5, None, "\ud800"):
            with pytest.raises(Invalid, match="artifact"):
                run.artifact("a.txt", content)  # type: ignore[arg-type]
        for path in (tmp_path / "none", tmp_path / "empty"):
            with pytest.raises(NotFound, match="to store"):
                run.artifact("a.txt", path)
        with pytest.raises(NotFound, match="no file"):
            run.model("m", {"weights": tmp_path / "none"})
        run.artifact("b.bin", bytearray(b"x"))
    assert runs.get(run.id).status == "FINISHED"


def test_tables_are_columns_or_rows_of_any_numbers(runs: Started, tracking: Tracking) -> None:
    """NumPy's numbers are numbers; what JSON cannot say is told."""
    with runs.start() as run:
        run.table("columns.json", {"x": np.arange(2), "y": ["a", "b"]})
        run.table("rows.json", [{"x": np.int64(0), "y": "a"}, {"x": 1, "y": "b"}])
        for wrong in ({"x": [object()]}, [1, 2], {"x": [1], "y": [1, 2]}):
            with pytest.raises(Invalid):
                run.table("wrong.json", wrong)  # type: ignore[arg-type]
    root = tracking.runs.get(run.id).artifact_uri.partition(":")[2].strip("/")
    for name in ("columns.json", "rows.json"):
        _, chunks = tracking.artifacts.open(f"{root}/{name}")
        document = json.loads(b"".join(chunks))
        assert document == {"columns": ["x", "y"], "data": [[0, "a"], [1, "b"]]}


def test_a_run_that_cannot_have_its_parameters_does_not_begin(runs: Started) -> None:
    """No run is left behind RUNNING by a start that failed; names that are no text are told."""
    for params in ({"a": "\ud800"}, {1: 2}):
        with pytest.raises(Invalid):
            runs.start(params=params)  # type: ignore[arg-type]
    assert runs.search().height == 0


def test_a_search_gives_no_more_than_its_limit(runs: Started) -> None:
    """The limit is of the runs that are wanted; numbers of NumPy's compare as numbers."""
    for value in range(4):
        with runs.start(f"r{value}") as run:
            run.log({"m": value})
    found = runs.search(metric("m") > np.float32(0.5), order_by=-metric("m"), limit=2)
    assert found["name"] == ["r3", "r2"]
    assert runs.search(metric("m") >= np.float64(1)).height == 3
    assert runs.search(limit=0).height == 0
