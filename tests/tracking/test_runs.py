from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tracking_workspace import Counting

from mainspring._adapters.sql import events as event_rows
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.core.ids import RunId
from mainspring.testing.clock import FakeClock
from mainspring.tracking import Batch, DatasetInput, Point, Tracking
from mainspring.tracking.types import LOST_TAG, Dataset, ModelLink


@dataclass
class Watched:
    """A database whose writes are counted."""

    database: Any
    submit: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)


def log(tracking: Tracking, run_id: str, **what: Any) -> None:
    tracking.runs.log(run_id, Batch(**what)).result()


def metrics(tracking: Tracking, run_id: str) -> dict[str, Point]:
    return {point.key: point for point in tracking.runs.get(run_id).metrics}


def test_name_and_name_tag_are_one(tracking: Tracking) -> None:
    """Setting either sets both; giving two different ones is refused."""
    runs = tracking.runs
    run = runs.create("0", name="x")
    assert run.tags["mlflow.runName"] == "x"
    log(tracking, run.id, tags=(("mlflow.runName", "y"),))
    assert runs.get(run.id).name == "y"
    runs.update(run.id, name="z").result()
    assert runs.get(run.id).tags["mlflow.runName"] == "z"
    assert [r.id for r in runs.search(["0"], "tags.mlflow.runName = 'z'").items] == [run.id]
    assert [r.id for r in runs.search(["0"], "run_name = 'z'").items] == [run.id]
    assert runs.create("0", tags={"mlflow.runName": "t"}).name == "t"
    assert runs.create("0").name
    with pytest.raises(Invalid, match="different values"):
        runs.create("0", name="a", tags={"mlflow.runName": "b"})


def test_latest_is_the_greatest_step_time_and_value(tracking: Tracking) -> None:
    """What arrives last is not the latest; the greatest (step, time, value) is."""
    run = tracking.runs.create("0")
    for value, step, time_ms in (
        (1.0, 5, 10),
        (2.0, 4, 99),
        (3.0, 5, 9),
        (0.5, 5, 10),
        (4.0, 5, 10),
    ):
        log(tracking, run.id, points=(Point("m", value, step, time_ms),))
    assert metrics(tracking, run.id)["m"] == Point("m", 4.0, 5, 10)
    log(
        tracking,
        run.id,
        points=(Point("b", 9.0, 1, 1), Point("b", 1.0, 2, 0), Point("b", 5.0, 1, 9)),
    )
    assert metrics(tracking, run.id)["b"] == Point("b", 1.0, 2, 0)


def test_exact_duplicates_collapse(tracking: Tracking) -> None:
    """A batch sent twice is stored once; other values of the same step are kept."""
    run = tracking.runs.create("0")
    batch = Batch(points=(Point("m", 1.0, 1, 1), Point("m", math.nan, 1, 1), Point("m", 0.0, 1, 1)))
    for _ in range(3):
        tracking.runs.log(run.id, batch).result()
    found = tracking.runs.history(run.id, "m").items
    assert len(found) == 3
    assert sum(math.isnan(point.value) for point in found) == 1


def test_history_is_by_time_then_step_in_pages(tracking: Tracking) -> None:
    """Any page size gives the same points in the same order, once each."""
    run = tracking.runs.create("0")
    points = tuple(Point("m", float(i), i % 7, 100 - i) for i in range(50))
    log(tracking, run.id, points=points)
    whole = tracking.runs.history(run.id, "m").items
    assert list(whole) == sorted(points, key=lambda p: (p.time_ms, p.step))
    seen, token = [], None
    while True:
        page = tracking.runs.history(run.id, "m", limit=7, token=token)
        seen += page.items
        token = page.next_token
        if token is None:
            break
    assert tuple(seen) == whole
    assert tracking.runs.history(run.id, "nothing").items == ()


def test_params_are_written_once(tracking: Tracking) -> None:
    """The same value again is fine, another is refused, and then nothing of the batch is stored."""
    run = tracking.runs.create("0")
    log(tracking, run.id, params=(("p", "1"),))
    log(tracking, run.id, params=(("p", "1"),))
    with pytest.raises(Conflict) as caught:
        log(
            tracking,
            run.id,
            points=(Point("m", 1.0, 0, 0),),
            params=(("new", "x"), ("p", "2")),
            tags=(("t", "x"),),
        )
    assert caught.value.code == "tracking.param_changed"
    found = tracking.runs.get(run.id)
    assert (found.params, found.metrics, found.tags.get("t")) == ({"p": "1"}, (), None)
    with pytest.raises(Invalid, match="Duplicate parameter keys"):
        log(tracking, run.id, params=(("q", "1"), ("q", "1")))


def test_a_name_seen_in_an_undone_batch_is_not_remembered(tracking: Tracking) -> None:
    """A metric first logged by a refused batch is stored under its own name later."""
    run = tracking.runs.create("0")
    log(tracking, run.id, params=(("p", "1"),))
    with pytest.raises(Conflict):
        log(tracking, run.id, points=(Point("first", 1.0, 0, 0),), params=(("p", "2"),))
    other = tracking.runs.create("0")
    log(tracking, other.id, points=(Point("second", 1.0, 0, 0),))
    log(tracking, run.id, points=(Point("first", 2.0, 0, 0),))
    assert metrics(tracking, run.id)["first"].value == 2.0
    assert set(metrics(tracking, other.id)) == {"second"}


@pytest.mark.parametrize(
    "what",
    [
        {"points": tuple(Point(f"m{i}", 0.0, 0, 0) for i in range(1001))},
        {"params": tuple((f"p{i}", "") for i in range(101))},
        {"tags": tuple((f"t{i}", "") for i in range(101))},
        {
            "points": tuple(Point(f"m{i}", 0.0, 0, 0) for i in range(950)),
            "params": tuple((f"p{i}", "") for i in range(60)),
        },
        {"points": (Point("m", 0.0, 2**63, 0),)},
        {"points": (Point("m", 0.0, 0, 2**63),)},
        {"points": (Point("m", 0.0, 0, -1),)},
        *(
            {"points": (Point(key, 0.0, 0, 0),)}
            for key in ("", "a" * 251, "/a", "a//b", "../a", "a\n")
        ),
        *({"params": ((key, "v"),)} for key in ("", "a\x00", "a\u202eb", "a<b>", ".", "a/../b")),
        {"params": (("p", "a\x00"),)},
        {"tags": (("t", "\ud800"),)},
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is(
    tracking: Tracking, what: dict[str, Any]
) -> None:
    """Limits, names and numbers are checked for the whole batch."""
    run = tracking.runs.create("0")
    with pytest.raises(Invalid):
        log(tracking, run.id, **what)
    assert tracking.runs.get(run.id) == run


def test_values_are_cut_and_infinities_are_great(tracking: Tracking) -> None:
    """Long texts are cut as MLflow cuts them; infinity is the greatest double."""
    run = tracking.runs.create("0")
    log(tracking, run.id, params=(("p", "x" * 7000),), tags=(("t", "x" * 9000),))
    log(tracking, run.id, points=(Point("m", math.inf, 0, 0), Point("n", -math.inf, 0, 0)))
    found = tracking.runs.get(run.id)
    assert (len(found.params["p"]), len(found.tags["t"])) == (6000, 8000)
    assert metrics(tracking, run.id)["m"].value == 1.7976931348623157e308
    assert metrics(tracking, run.id)["n"].value == -1.7976931348623157e308


def test_deleted_runs_are_out_of_sight_and_closed(tracking: Tracking) -> None:
    """A deleted run takes nothing more and is found only among the deleted, until restored."""
    runs = tracking.runs
    run = runs.create("0")
    log(tracking, run.id, points=(Point("m", 1.0, 0, 0),), params=(("p", "1"),))
    runs.delete(run.id)
    for attempt in (
        lambda: log(tracking, run.id, points=(Point("m", 1.0, 1, 0),)),
        lambda: log(tracking, run.id, tags=(("t", "1"),)),
        lambda: runs.update(run.id, status="FINISHED").result(),
        lambda: runs.untag(run.id, "mlflow.runName"),
    ):
        with pytest.raises(Conflict, match="active"):
            attempt()
    for text in ("", "metrics.m = 1", "params.p = '1'"):
        assert runs.search(["0"], text).items == ()
        for view in ("deleted", "all"):
            assert [r.id for r in runs.search(["0"], text, view=view).items] == [run.id]  # type: ignore[arg-type]
    runs.restore(run.id)
    assert [r.id for r in runs.search(["0"], "metrics.m = 1 and params.p = '1'").items] == [run.id]


def test_a_deleted_experiment_takes_its_runs_along(tracking: Tracking) -> None:
    """Deleting and restoring an experiment is one change each, whatever it holds."""
    experiment = tracking.experiments.create("e").id
    kept, gone = (tracking.runs.create(experiment) for _ in range(2))
    tracking.runs.delete(gone.id)
    tracking.experiments.delete(experiment)
    assert tracking.runs.get(kept.id).state == "deleted"
    assert tracking.runs.search([experiment]).items == ()
    assert len(tracking.runs.search([experiment], view="deleted").items) == 2
    with pytest.raises(Conflict):
        log(tracking, kept.id, points=(Point("m", 1.0, 0, 0),))
    with pytest.raises(Conflict):
        tracking.runs.create(experiment)
    with pytest.raises(NotFound):
        tracking.experiments.delete(experiment)
    tracking.experiments.restore(experiment)
    assert len(tracking.runs.search([experiment]).items) == 2


def test_logging_takes_a_fixed_number_of_statements(tracking: Tracking) -> None:
    """One point: three statements once the names are known; a thousand: few more, some to pack."""
    run = tracking.runs.create("0")
    store = tracking.runs.store

    def calls(batch: Batch) -> int:
        def work(tx: Any) -> int:
            counting = Counting(tx)
            place = store.place(counting, run.id)
            assert place is not None
            store.log(counting, place, batch)
            return counting.calls

        return tracking.runs.database.write(work)

    one = Batch(points=(Point("m", 1.0, 0, 0),))
    many = Batch(points=tuple(Point(f"m{i % 10}", 1.0, i, 0) for i in range(1000)))
    more = Batch(points=tuple(Point(f"m{i % 10}", 1.0, i, 1) for i in range(1000)))
    wide = Batch(points=tuple(Point(f"w{i}", 1.0, i, 1) for i in range(1000)))
    terms = Batch(params=tuple((f"p{i}", "x") for i in range(90)), tags=(("t", "x"),))
    for batch in (one, many, wide, terms):
        tracking.runs.log(run.id, batch).result()
    assert (calls(one), calls(wide), calls(terms)) == (3, 3, 4)
    assert calls(more) in {4, 8}  # as blocks
    assert calls(many) == 5  # sent again, as rows


def test_beginning_and_ending_a_run_is_a_fixed_number_of_statements(tracking: Tracking) -> None:
    """However much was logged: a run is made in 3 statements and ended in 3, its event apart."""
    counted: list[int] = []
    submit = tracking.runs.database.submit

    def counting(work: Any) -> Any:
        def counted_work(tx: Any) -> Any:
            seen = Counting(tx)
            try:
                return work(seen)
            finally:
                counted.append(seen.calls)

        return submit(counted_work)

    runs = replace(tracking.runs, database=Watched(tracking.runs.database, counting))
    for _ in range(2):  # the second knows the names
        run = runs.begin("0", name="x").result()
        log(tracking, run.id, params=tuple((f"p{i}", "x") for i in range(50)))
        log(tracking, run.id, points=tuple(Point(f"m{i}", 1.0, 0, 0) for i in range(50)))
        runs.update(run.id, status="FINISHED", end_ms=5).result()
    assert counted[2:] == [3, 3]


def test_events_tell_the_life_of_a_run_but_not_its_points(tracking: Tracking) -> None:
    """Beginning, ending, inputs and deletion are facts of the record; metric points are not."""
    run = tracking.runs.create("0", name="x")
    log(tracking, run.id, points=tuple(Point("m", 1.0, i, i) for i in range(100)))
    dataset = DatasetInput(Dataset(name="flights", digest="abc"), {"mlflow.data.context": "train"})
    link = ModelLink("m-1", "output", 3)
    tracking.runs.link(run.id, datasets=[dataset], models=[link])
    tracking.runs.update(run.id, status="FINISHED", end_ms=5).result()
    tracking.runs.update(run.id, status="FINISHED", end_ms=6).result()
    tracking.runs.delete(run.id)
    events = tracking.runs.database.read(lambda reader: list(event_rows.every(reader)))
    mine = [event for event in events if event.subject == f"run:{run.id}"]
    assert [event.kind for event in mine] == [
        "tracking.run_started",
        "tracking.inputs_logged",
        "tracking.run_ended",
        "tracking.run_deleted",
    ]
    assert mine[1].used == ("dataset:flights@abc",)
    assert mine[1].generated == ("logged-model:m-1",)
    found = tracking.runs.get(run.id)
    assert (found.datasets, found.models) == ((dataset,), (link,))


def test_silent_runs_are_ended_as_lost(tracking: Tracking, clock: FakeClock) -> None:
    """A run that gave signs of life and stopped is FAILED within a minute; others are left alone."""
    quiet, lively, foreign = (tracking.runs.create("0") for _ in range(3))
    tracking.runs.seen([quiet.id, lively.id])
    clock.advance(40)
    tracking.runs.seen([lively.id])
    assert tracking.runs.end_lost() == []
    clock.advance(15)
    assert tracking.runs.end_lost() == [quiet.id]
    found = tracking.runs.get(quiet.id)
    assert (found.status, LOST_TAG in found.tags) == ("FAILED", True)
    assert [tracking.runs.get(r.id).status for r in (lively, foreign)] == ["RUNNING", "RUNNING"]
    assert [r.id for r in tracking.runs.search(["0"], "status = 'FAILED'").items] == [quiet.id]
    tracking.runs.update(lively.id, status="FINISHED").result()
    clock.advance(600)
    assert tracking.runs.end_lost() == []


def test_creating_may_be_repeated(tracking: Tracking) -> None:
    """The same identifier again is the same run."""
    one = tracking.runs.create("0", run_id=RunId("mine"), name="x")
    assert tracking.runs.create("0", run_id=RunId("mine"), name="y") == one


@pytest.mark.parametrize("run_id", ["", "a b", "../x", "x" * 300, "nope"])
def test_unknown_runs(tracking: Tracking, run_id: str) -> None:
    """Bad identifiers are invalid, good ones of nobody are not found."""
    with pytest.raises((Invalid, NotFound)):
        tracking.runs.get(run_id)
