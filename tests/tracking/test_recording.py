from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainspring._adapters.spool import FileSpool
from mainspring.core.errors import Invalid, Unavailable
from mainspring.testing.clock import FakeClock
from mainspring.tracking import Tracking
from mainspring.tracking.active import PARENT_TAG, Started, Surroundings
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
    recorder.line(run.id).points.append(({"m": 1.0}, 1, 1))
    full(tracking, pages=0)
    for step in range(2, 5000):
        recorder.line(run.id).points.append(({"m": 1.0}, step, 1))
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
