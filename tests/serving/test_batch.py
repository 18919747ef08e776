"""Scoring whole tables."""

from __future__ import annotations

import numpy as np
import pytest

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.core.errors import Invalid, NotFound
from mainspring.ports.tables import TableVersion
from mainspring.serving.batch import BatchJob, score_table
from mainspring.serving.model import load_model

JOB = BatchJob(TableVersion("flights"), "scored", ("flight",), "3", rows_per_part=300)


@pytest.fixture
def tables(tmp_path):
    tables = DeltaTables(tmp_path / "tables")
    carrier = np.array(["AA", "UA", None, "ZZ"] * 250, object)
    miles = np.where(np.arange(1000) % 7 == 0, np.nan, np.arange(1000) / 100)
    tables.append("flights", {"flight": np.arange(1000), "miles": miles, "carrier": carrier})
    yield tables
    tables.close()


@pytest.fixture
def models(objects, runtimes, package):
    return [load_model(package(), objects.get, runtimes) for _ in range(2)]


def scored(tables):
    return tables.query("select * from scored order by flight", {"scored": TableVersion("scored")})


def test_every_row_once_and_as_online(tables, models):
    """One row out per row in, with the same scores and decisions as a prediction has."""
    seen = []
    done = score_table(tables, JOB, models, report=seen.append)
    assert (done.parts, done.rows) == (4, 1000)
    assert [progress.parts_done for progress in seen] == [1, 2, 3, 4]
    frame = scored(tables)
    assert frame["flight"].tolist() == list(range(1000))
    rows = tables.query("select * from f order by flight", {"f": TableVersion("flights")})
    expected = models[0].predict(rows)
    assert frame["score"].tolist() == expected.score.tolist()
    assert frame["decision"].tolist() == expected.decision.tolist()
    assert set(frame["model_version"]) == {"3"}


class Dying:
    """Tables that fail at the third append, as a machine may."""

    def __init__(self, tables):
        self._tables, self._left = tables, 2

    def __getattr__(self, name):
        return getattr(self._tables, name)

    def append(self, *arguments, **named):
        if self._left == 0:
            raise OSError("power loss")
        self._left -= 1
        return self._tables.append(*arguments, **named)


def test_a_run_that_died_goes_on_where_it_was(tables, models):
    """Parts that were written are not scored again, and none is doubled."""
    with pytest.raises(OSError, match="power loss"):
        score_table(Dying(tables), JOB, models)
    before = len(scored(tables)["flight"])
    rest = score_table(tables, JOB, models)
    assert 0 < before < 1000
    assert rest.rows == 1000 - before
    assert scored(tables)["flight"].tolist() == list(range(1000))
    assert score_table(tables, JOB, models).rows == 0


def test_a_version_of_the_source_is_a_job_of_its_own(tables, models):
    """New rows in the source are scored by a new run; a filter narrows it."""
    score_table(tables, JOB, models)
    more = {"flight": np.array([1000]), "miles": np.ones(1), "carrier": np.array(["AA"], object)}
    tables.append("flights", more)
    job = BatchJob(TableVersion("flights"), "scored", ("flight",), "3", filter="flight >= 1000")
    assert score_table(tables, job, models).rows == 1
    assert len(scored(tables)["flight"]) == 1001


def test_what_cannot_be_scored_is_said_before_anything_is_written(tables, models):
    """A missing input, a wrong type or a missing key stops the job at once."""
    tables.append("bare", {"flight": np.arange(3), "mile": np.ones(3)})
    with pytest.raises(NotFound, match="mile"):
        score_table(tables, BatchJob(TableVersion("bare"), "out", ("flight",), "3"), models)
    odd = {"flight": np.arange(3), "miles": np.array(["1"] * 3, object), "carrier": np.ones(3)}
    tables.append("odd", odd)
    with pytest.raises(Invalid, match="miles"):
        score_table(tables, BatchJob(TableVersion("odd"), "out", ("flight",), "3"), models)
    with pytest.raises(Invalid, match="key"):
        score_table(tables, BatchJob(TableVersion("flights"), "out", ("id",), "3"), models)
    assert not tables.exists("out")


class Choosy:
    """A model without an answer to rows that lack a number."""

    def predict(self, inputs):
        return 0.5 + 0 * inputs[:, 0]


@pytest.mark.parametrize("copies", [1, 3])
def test_a_row_that_cannot_be_scored_is_named(tables, models, copies):
    """Of millions of rows one must be found; nothing of its part is stored."""
    tables.append(
        "gaps",
        {
            "flight": np.arange(1000, 1100),
            "miles": np.where(np.arange(100) == 61, np.nan, 1.0),
            "carrier": np.array(["AA"] * 100, object),
        },
    )
    for model in models:
        model._loaded = Choosy()
    job = BatchJob(TableVersion("gaps"), "gaps_scored", ("flight",), "3")
    with pytest.raises(Invalid, match="in the row of flight '1061'") as raised:
        score_table(tables, job, (models * 2)[:copies])
    assert raised.value.code == "serving.prediction_failed"
    assert raised.value.facts["row"] == "flight '1061'"
    assert not tables.exists("gaps_scored")
