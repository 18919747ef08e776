"""Runs on the terminal: listings with columns and courses, comparison, watching."""

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring._bootstrap.workspace import open_workspace
from mainspring._entrypoints.cli import sparkline as drawing
from mainspring._entrypoints.cli.sparkline import BLOCKS, sparkline
from mainspring._entrypoints.cli.watching import states
from mainspring.tracking import Batch, Point
from mainspring.tracking.types import ModelLink


@pytest.fixture
def three(cli, tmp_path):
    """Three runs whose loss falls, the second one deeper, the third still going."""
    with open_workspace(tmp_path / ".mainspring") as workspace:
        runs, made = workspace.tracking.runs, []
        for number in range(3):
            run = runs.create("0", name=f"run {number}", start_ms=1_000_000 + number)
            points = tuple(Point("loss", (number + 1) / (s + 1), s, 1000 + s) for s in range(50))
            batch = Batch(points=points, params=(("depth", str(number)), ("same", "x")))
            runs.log(run.id, batch).result()
            if number < 2:
                runs.update(run.id, status="FINISHED", end_ms=1_000_000 + 75_000).result()
            made.append(run.id)
    return made


def test_columns_trends_and_orders_are_chosen(cli, three):
    """Rows follow the order asked for; the columns are those named, the course is drawn."""
    order = ("--order-by", "metrics.loss DESC")
    told = cli("runs", "ls", *order, "--columns", "metrics.loss,params.depth", "--trend", "loss")
    lines = told.out.splitlines()
    assert lines[0].split()[:5] == ["run", "name", "status", "loss", "params.depth"]
    assert [line.split()[0] for line in lines[1:]] == three[::-1]
    assert all(BLOCKS[-1] in line and BLOCKS[0] in line for line in lines[1:])
    assert "1 min 1" in lines[2]


def test_only_what_is_under_way_and_what_was_deleted(cli, three, tmp_path):
    """--running and --deleted narrow the listing, also together with a filter."""
    listed = cli("runs", "ls", "--running", "--filter", "params.same = 'x'", "--json").document
    assert [run["id"] for run in listed["runs"]] == [three[2]]
    with open_workspace(tmp_path / ".mainspring") as workspace:
        workspace.tracking.runs.delete(three[0])
    assert len(cli("runs", "ls", "--json").document["runs"]) == 2
    listed = cli("runs", "ls", "--deleted", "--json").document
    assert [run["id"] for run in listed["runs"]] == [three[0]]


def test_one_run_with_the_course_of_its_metrics(cli, three):
    """Latest value, step and course; parameters below."""
    told = cli("runs", "show", three[0]).out
    line = next(line for line in told.splitlines() if line.startswith("loss"))
    assert line.split()[1:3] == ["0.02", "49"]
    assert line.split()[3][0] == BLOCKS[-1]
    assert "1 min 15 s" in told
    assert "depth" in told


def test_comparison_leaves_out_what_is_the_same_unless_asked(cli, three):
    """Differences by default, everything with --all; courses below."""
    told = cli("runs", "compare", three[0], three[1])
    assert "param depth" in told.out
    assert "param same" not in told.out
    assert "course loss" in told.out
    assert "param same" in cli("runs", "compare", "--all", three[0], three[1]).out


def test_watching_ends_with_the_run(cli, three, tmp_path):
    """Every change is told once, and the last one says how it ended."""
    with open_workspace(tmp_path / ".mainspring") as workspace:
        runs = workspace.tracking.runs
        todo = [
            lambda: runs.log(three[2], Batch(points=(Point("loss", 0.5, 99, 9999),))).result(),
            lambda: None,
            lambda: runs.update(three[2], status="FAILED", end_ms=1).result(),
        ]

        def step():
            todo.pop(0)()

        seen = list(states(lambda: runs.get(three[2]), step))
    assert [run.status for run in seen] == ["RUNNING", "RUNNING", "FAILED"]
    assert seen[1].metrics[0].step == 99
    told = cli("runs", "watch", three[2])
    assert (told.code, told.out.splitlines()) == (1, ["run 2: failed", "loss 0.5 at step 99"])
    assert cli("runs", "watch", three[0], "--json").document["run"]["status"] == "FINISHED"


def test_there_may_be_nothing_to_watch(cli, tmp_path):
    """Without a run under way that is said, with what to do."""
    open_workspace(tmp_path / ".mainspring").close()
    told = cli("runs", "watch")
    assert told.code == 3
    assert "cli.nothing_running" in told.err


@pytest.mark.parametrize("text", ["0", "-1", "nan", "x", "1e9"])
def test_an_interval_is_a_sensible_number(cli, text):
    """Other intervals are refused before anything is opened."""
    assert cli("runs", "watch", "--every", text).code == 2


@given(st.lists(st.floats(), max_size=200), st.integers(1, 40))
def test_a_sparkline_is_as_wide_as_it_may_be(values, width):
    """One letter for each value up to the width, whatever the numbers."""
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set(BLOCKS + "·")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=24))
def test_the_highest_is_drawn_highest_and_the_lowest_lowest(values):
    """Extremes keep their places; what is missing is a dot."""
    line = sparkline([*values, math.nan])
    assert line[-1] == "·" or len(values) + 1 > 24
    if max(values) / 2 > min(values) / 2 and len(values) < 24:
        assert line[values.index(max(values))] == BLOCKS[-1]
        assert line[values.index(min(values))] == BLOCKS[0]


def test_examples():
    """The examples in the docstrings are true."""
    assert doctest.testmod(drawing).failed == 0


def test_a_run_tells_what_lies_around_it(cli, three, tmp_path):
    """The runs inside it, the run that it is inside, the models it made, and its note."""
    with open_workspace(tmp_path / ".mainspring") as workspace:
        runs = workspace.tracking.runs
        inner = runs.create("0", name="trial 7", tags={"mlflow.parentRunId": three[0]})
        runs.log(inner.id, Batch(tags=(("mlflow.note.content", "the\nbest"),))).result()
        model = workspace.tracking.models.create("0", name="m", run_id=inner.id)
        runs.link(inner.id, models=[ModelLink(model.id, "output", 3)])
    outer = cli("runs", "show", three[0])
    assert "trial 7" in outer.out
    told = cli("runs", "show", inner.id).out
    for words in (f"Inside run  {three[0]}", "Note        the best", model.id):
        assert words in told
    found = cli("runs", "show", three[0], "--json").document
    assert [run["id"] for run in found["inside"]] == [inner.id]


def test_a_table_row_is_a_line(cli, three, tmp_path):
    """A value with line ends does not tear its row apart."""
    with open_workspace(tmp_path / ".mainspring") as workspace:
        workspace.tracking.runs.log(three[0], Batch(tags=(("t", "one\ntwo"),))).result()
    told = cli("runs", "ls", "--columns", "tags.t").out
    assert "one two" in told
    assert len(told.splitlines()) == 4


def test_what_was_learned_comes_before_the_machine(cli, three, tmp_path):
    """Metrics of processor and memory come last; of the others, what most runs have comes first."""
    with open_workspace(tmp_path / ".mainspring") as workspace:
        machine = tuple(Point(f"system/{name}", 1.0, 0, 0) for name in ("cpu", "disk", "memory"))
        run = workspace.tracking.runs.create("0", name="newest")
        points = (*machine, Point("auc", 0.5, 0, 0))
        workspace.tracking.runs.log(run.id, Batch(points=points)).result()
    headings = cli("runs", "ls").out.splitlines()[0].split()
    assert headings[3:6] == ["loss", "auc", "system/cpu"]
