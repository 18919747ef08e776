"""Models that refuse some rows: they are kept, and no form of them answers what they do not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PowerTransformer, StandardScaler

import mainspring as ms
from mainspring._bootstrap.workspace import runtimes
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn, Signature
from mainspring.serving.boundary import answers_at, boundary_rows
from mainspring.serving.model import load_model

ROWS = 600
SIGNATURE = Signature(
    (InputColumn("money", "number"), InputColumn("k", "category", ("x", "y"))), "probability"
)


@pytest.fixture
def ws(tmp_path):
    with ms.open(tmp_path / "ws") as workspace:
        yield workspace


def data():
    """Two numbers above nought, and what they lead to."""
    random = np.random.default_rng(8)
    matrix = np.column_stack([random.integers(1, 99, ROWS) / 2, random.integers(1, 9, ROWS)])
    return {"hours": matrix[:, 0], "items": matrix[:, 1]}, matrix, matrix.prod(axis=1) > 80


def kept(ws, model, sample):
    """Its plan, and the model as a gateway loads it."""
    version = ws.models.save("late", model, sample=sample)
    plan = ws.registry.packages.open("late", version.number).manifest.plan
    return plan, load_model(version.package, ws.objects.get, runtimes(ws.settings))


def test_a_model_that_takes_no_missing_number_is_kept(ws):
    """The most usual pipeline has no imputer: it becomes a graph, and a row without a number is the sender's fault."""
    sample, matrix, target = data()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, target)
    plan, served = kept(ws, model, sample)
    assert plan.way == "onnx"
    assert served.predict(sample).score == pytest.approx(
        model.predict_proba(matrix)[:, 1], abs=1e-6
    )
    with pytest.raises(Invalid, match="a number is missing"):
        served.predict({"hours": np.array([np.nan]), "items": np.array([2.0])})


def test_a_graph_that_answers_what_the_model_refuses_is_not_taken(ws):
    """These trees refuse a missing number; their graph would send it to one side."""
    sample, matrix, target = data()
    model = GradientBoostingClassifier(n_estimators=5).fit(matrix, target)
    plan, served = kept(ws, model, sample)
    assert plan.way == "original"
    assert "the model itself refuses" in plan.tried[0].why
    with pytest.raises(Invalid):
        served.predict({"hours": np.array([np.nan]), "items": np.array([2.0])})


def test_unknown_categories_may_be_refused_too(ws):
    """An encoder that knows no unknown category says so in its graph as well."""
    sample, matrix, target = data()
    kind = np.array(["AA", "UA", "DL"], object)[matrix[:, 1].astype(int) % 3]
    table = np.empty((ROWS, 2), object)
    table[:, 0], table[:, 1] = sample["hours"], kind
    parts = ColumnTransformer([("n", StandardScaler(), [0]), ("k", OneHotEncoder(), [1])])
    model = make_pipeline(parts, LogisticRegression()).fit(table, target)
    plan, served = kept(ws, model, {"hours": sample["hours"], "kind": kind})
    assert plan.way == "onnx"
    with pytest.raises(Invalid):
        served.predict({"hours": np.array([2.0]), "kind": np.array(["never"], object)})


def test_numbers_beyond_the_sample_may_be_refused(ws):
    """A logarithm knows nothing below nought; within what was seen the plan is made all the same."""
    sample, matrix, target = data()
    model = make_pipeline(PowerTransformer("box-cox"), LogisticRegression()).fit(matrix, target)
    plan, _ = kept(ws, model, sample)
    assert plan.tried[-1].boundary_rows > 20


def test_a_sample_that_the_model_refuses_is_said_to_be_one(ws):
    """Not a traceback of scikit-learn's."""
    sample, matrix, target = data()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, target)
    sample["hours"] = np.where(np.arange(ROWS) == 3, np.nan, sample["hours"])
    with pytest.raises(Invalid, match="does not answer its sample") as raised:
        ws.models.save("late", model, sample=sample)
    assert raised.value.code == "serving.not_packable"
    assert "missing" in raised.value.hint


def refusing(*, missing=False, unknown=False, beyond=None):
    def ask(rows):
        if missing and np.isnan(rows[:, 0]).any():
            raise ValueError("NaN")
        if unknown and (rows[:, 1] < 0).any():
            raise ValueError("unknown")
        if beyond is not None and (rows[:, 0] > beyond).any():
            raise TypeError("beyond")
        return np.zeros(len(rows))

    return ask


SAMPLE = np.column_stack([np.arange(1.0, 40.0), np.arange(39) % 2])
EDGES = boundary_rows(SAMPLE, SIGNATURE, {})


@pytest.mark.parametrize(
    "refuses",
    [
        {},
        {"missing": True},
        {"unknown": True},
        {"missing": True, "unknown": True},
        {"beyond": 39.0},
    ],
)
def test_the_widest_kind_of_rows_is_kept(refuses):
    """What is refused is truly refused, what is kept is answered, and little else is left out."""
    ask = refusing(**refuses)
    edges = answers_at(EDGES, SAMPLE, SIGNATURE, ask)
    assert len(edges.rows) == len(edges.answers)
    assert len(edges.rows) >= 0.8 * len(EDGES)
    assert bool(len(edges.refused)) is bool(refuses)
    for place in range(len(edges.refused)):
        with pytest.raises((ValueError, TypeError)):
            ask(edges.refused[place : place + 1])


def test_a_model_that_answers_nothing_is_not_kept():
    """The reason is the model's own."""
    with pytest.raises(Invalid, match="beyond"):
        answers_at(EDGES, SAMPLE, SIGNATURE, refusing(beyond=0.0))
