"""``mainspring predict`` on a dataset, as a person meets it."""

from __future__ import annotations

import pytest

from mainspring._adapters.process.compute import LocalProcesses
from mainspring._bootstrap.scoring import (
    Manner,
    PartsOfScoring,
    score_dataset,
    settings_of,
    spread,
)
from mainspring._bootstrap.workspace import open_workspace
from mainspring.core.errors import Conflict


@pytest.fixture
def trained(ingested, cli):
    cli("run", "train")  # too few orders for its gates, but there is a version
    return ingested


def test_a_dataset_becomes_a_dataset_of_scores(trained, cli):
    """Every row once, as the file of the same rows is scored; again it changes nothing."""
    first = cli("predict", "shop/1", "--input", "rows", "--output", "scores", "--json")
    assert first.code == 0, first.err
    said = first.document
    assert (said["output"], said["scored_now"]) == ("scores@1", said["rows"])
    again = cli("predict", "shop/1", "--input", "rows@1", "--output", "scores", "--json")
    assert (again.document["output"], again.document["scored_now"]) == ("scores@1", 0)
    shown = cli("data", "show", "scores", "--json")
    assert shown.code == 0, shown.err


def scored(project, output):
    """Every row by its key, as the dataset holds it."""
    with open_workspace(project) as workspace:
        rows = workspace.datasets.read(f'SELECT * FROM "{output}" ORDER BY 1', {output: None})
        return {name: values.tolist() for name, values in rows.items()}


class Stopped(Exception):  # noqa: N818 - it is no error
    """Somebody has pressed Ctrl-C."""


def test_processes_score_as_threads_do_and_go_on_where_they_were(trained):
    """Features, scores and decisions to the bit; what another run had done is not done again."""
    with open_workspace(trained) as workspace:
        alone = score_dataset(
            workspace, "shop/1", "rows", "threads", lambda _: None, how=Manner(rows_per_part=7)
        )
        assert alone.parts > 5

        def stop(progress):
            if progress.parts_done == 3:
                raise Stopped

        how = Manner(workers=2, rows_per_part=7)
        with pytest.raises(Stopped):
            score_dataset(workspace, "shop/1", "rows", "processes", stop, how=how)
        seen = []
        rest = score_dataset(workspace, "shop/1", "rows", "processes", seen.append, how=how)
        assert seen[-1].parts_done == rest.parts == alone.parts
        assert 0 < rest.rows < alone.rows
        assert rest.output.rows == alone.rows
        again = score_dataset(workspace, "shop/1", "rows", "processes", seen.append, how=how)
        assert again.rows == 0
    assert scored(trained, "processes") == scored(trained, "threads")


def test_a_worker_that_would_score_something_else_is_refused(trained):
    """Such as one of another version, or with another project: no row of it is stored."""
    with open_workspace(trained) as workspace:
        told = PartsOfScoring(
            folder=str(workspace.folder),
            here=str(trained),
            settings=settings_of(workspace, 1),
            version="shop/1",
            source="rows@1",
            output="other",
            rows_per_part=0,
            name="batch:of another world",
        )
        processes = LocalProcesses(1)
        with pytest.raises(Conflict) as raised:
            list(spread(processes, told, [0]))
        processes.close()
        assert raised.value.code == "serving.parts_differ"
    assert not list(trained.glob(".mainspring/tables/datasets/other*"))


def test_the_command_takes_workers(trained, cli):
    """As many processes as said; Ray where it is installed, and its name in the error elsewhere."""
    words = ("predict", "shop/1", "--input", "rows", "--output", "scores", "--json")
    found = cli(*words, "--workers", "2")
    assert found.code == 0, found.err
    assert found.document["scored_now"] == found.document["rows"]
    assert cli(*words, "--workers", "0").code == 2
    refused = cli(*words, "--on", "ray")
    assert (refused.code, refused.document["error"]["code"]) == (5, "compute.extra_missing")


def test_scores_need_a_name_of_their_own(trained, cli):
    """They are neither printed nor put among rows that were ingested."""
    assert cli("predict", "shop/1", "--input", "rows").code == 2
    assert cli("predict", "shop/1", "--input", "rows", "--output", "rows").code == 1
