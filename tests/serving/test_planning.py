"""The plan of execution: a faster form is taken only when it answers as the model itself does."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import mainspring as ms
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry import Decision
from mainspring.registry.plan import Trial
from mainspring.serving.model import load_model
from mainspring.serving.planning import Replay, default_tolerance, judge

ROWS = 1500


@pytest.fixture
def ws(tmp_path):
    with ms.open(tmp_path / "ws") as workspace:
        yield workspace


def fine():
    """Amounts to millions with their cents, and moments in seconds since 1970: 32 bits round them."""
    random = np.random.default_rng(3)
    money = np.round(random.uniform(0, 5e6, ROWS), 2)
    at = 1.7e9 + random.integers(0, 10**7, ROWS)
    target = ((money * 7 % 10 > 5) | (at % 97 > 60)).astype(int)
    return {"money": money, "at": at}, np.column_stack([money, at]), target


def coarse():
    """Halves and small whole numbers, some missing: 32 bits hold them exactly."""
    random = np.random.default_rng(4)
    matrix = np.column_stack([random.integers(0, 50, ROWS) / 2, random.integers(0, 9, ROWS)])
    matrix[::13, 0] = np.nan
    target = (np.nan_to_num(matrix[:, 0]) * matrix[:, 1] > 30).astype(int)
    return {"hours": matrix[:, 0], "items": matrix[:, 1]}, matrix, target


def pipeline():
    return make_pipeline(
        SimpleImputer(strategy="median"), HistGradientBoostingClassifier(max_iter=40)
    )


def plan(ws, version):
    return ws.registry.packages.open(version.name, version.number).manifest.plan


def served(ws, version):
    from mainspring._bootstrap.workspace import runtimes

    return load_model(version.package, ws.objects.get, runtimes(ws.settings))


def test_a_pipeline_on_coarse_numbers_becomes_a_graph(ws):
    """The graph answers as the pipeline on every sample and boundary row, and is what is served."""
    sample, matrix, target = coarse()
    model = pipeline().fit(matrix, target)
    version = ws.models.save("late", model, sample=sample, decision=Decision(threshold=0.4))
    found = plan(ws, version)
    assert found.way == "onnx"
    [trial] = found.tried
    assert trial.accepted
    assert (trial.sample_rows, trial.rows_off, trial.flips) == (ROWS, 0, 0)
    assert trial.boundary_rows > 50
    assert trial.largest_difference <= found.tolerance == 1e-6
    score = served(ws, version).predict(sample).score
    assert np.abs(score - model.predict_proba(matrix)[:, 1]).max() < 1e-6


def test_money_and_moments_are_not_left_to_32_bits(ws):
    """The graph would move answers; the pipeline itself is kept, and the record says why."""
    sample, matrix, target = fine()
    model = pipeline().fit(matrix, target)
    version = ws.models.save("late", model, sample=sample)
    found = plan(ws, version)
    graph, itself = found.tried
    assert not graph.accepted
    assert graph.rows_off >= 1
    assert graph.largest_difference > 1e-3
    assert "rows are off" in graph.why
    assert found.why.startswith("onnx refused: ")
    assert (found.way, itself.accepted, itself.largest_difference) == ("original", True, 0.0)
    assert served(ws, version).predict(sample).score.tolist() == (
        model.predict_proba(matrix)[:, 1].tolist()
    )


def test_a_booster_that_was_asked_to_be_a_graph_stays_itself(ws):
    """Preferred first does not mean taken: LightGBM's own text is exact, the graph is not."""
    sample, matrix, target = fine()
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 63}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, target), 40)
    version = ws.models.save("late", booster, sample=sample, prefer="onnx")
    found = plan(ws, version)
    assert [(one.way, one.accepted) for one in found.tried] == [("onnx", False), ("native", True)]
    assert found.tried[0].rows_off > 10
    assert served(ws, version).predict(sample).score.tolist() == booster.predict(matrix).tolist()


def test_the_kernel_is_in_the_plan_where_it_is_on(tmp_path, monkeypatch):
    """With the setting on, the record says that the kernel was equal to the bit, and how fast."""
    monkeypatch.setenv("MAINSPRING_COMPILED", "true")
    sample, matrix, target = fine()
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, target), 10)
    with ms.open(tmp_path / "ws") as ws:
        trial = plan(ws, ws.models.save("late", booster, sample=sample)).compiled
    assert trial.accepted
    assert trial.largest_difference == 0.0
    assert trial.batch_microseconds > 0


def test_a_wider_tolerance_has_to_be_said(ws):
    """What is refused at a millionth may be declared good enough; it then stands in the plan."""
    sample, matrix, target = fine()
    model = pipeline().fit(matrix, target)
    version = ws.models.save("late", model, sample=sample, tolerance=1.0)
    assert (plan(ws, version).way, plan(ws, version).tolerance) == ("onnx", 1.0)


def test_a_decision_that_turns_over_is_not_within_any_tolerance(ws):
    """However wide the tolerance: a row that was yes and becomes no refuses the form."""
    sample, matrix, target = fine()
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 63}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, target), 40)
    version = ws.models.save(
        "late",
        booster,
        sample=sample,
        prefer="onnx",
        tolerance=1.0,
        decision=Decision(threshold=0.5),
    )
    assert plan(ws, version).way == "native"
    assert plan(ws, version).tried[0].flips > 0


def test_texts_go_in_as_texts(ws):
    """A pipeline over objects is kept with its categories; unknown ones are the empty text."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder

    random = np.random.default_rng(5)
    kind = np.array(["AA", "UA", "DL"], object)[random.integers(0, 3, ROWS)]
    hours = random.integers(0, 40, ROWS) / 2
    table = np.empty((ROWS, 2), object)
    table[:, 0], table[:, 1] = hours, kind
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    prepare = ColumnTransformer([("n", SimpleImputer(), [0]), ("k", texts, [1])])
    target = ((hours > 9) ^ (kind == "UA")).astype(int)
    model = make_pipeline(prepare, LogisticRegression()).fit(table, target)
    sample = {"hours": hours, "kind": kind}
    version = ws.models.save("late", model, sample=sample)
    manifest = ws.registry.packages.open("late", version.number).manifest
    assert manifest.signature.inputs[1].categories == ("AA", "DL", "UA")
    rows = {"hours": np.array([1.5, 20.0]), "kind": np.array(["UA", "never seen"], object)}
    asked = np.empty((2, 2), object)
    asked[:, 0], asked[:, 1] = rows["hours"], rows["kind"]
    score = served(ws, version).predict(rows).score
    assert score == pytest.approx(model.predict_proba(asked)[:, 1], abs=1e-6)


def test_what_cannot_be_kept_is_refused_with_a_reason(ws):
    """A thing of no library, a model without probabilities, a table without rows: nothing stored."""
    sample, matrix, target = coarse()
    regression = make_pipeline(SimpleImputer(), LogisticRegression()).fit(matrix, target % 3 + 1)
    for model, rows, code in (
        (object(), sample, "serving.not_packable"),
        (regression, {}, "serving.bad_rows"),
        (make_pipeline(SimpleImputer()).fit(matrix), sample, "serving.not_packable"),
    ):
        with pytest.raises(Invalid) as raised:
            ws.models.save("late", model, sample=rows)
        assert raised.value.code == code
    assert ws.registry.models.search().items == ()


def test_a_class_of_ones_own_in_a_pipeline_is_named(ws):
    """Neither form can keep it: the graph has no converter, skops names the type to review."""
    sample, matrix, target = coarse()
    model = make_pipeline(Doubling(), HistGradientBoostingClassifier(max_iter=3))
    model.fit(matrix, target)
    with pytest.raises(Invalid, match="Doubling") as raised:
        ws.models.save("late", model, sample=sample)
    assert raised.value.code == "serving.not_faithful"
    trusted = f"{__name__}.Doubling"
    version = ws.models.save("late", model, sample=sample, trust=(trusted,))
    assert plan(ws, version).trusted == (trusted,)
    with pytest.raises(Invalid) as refused:
        served(ws, version)
    assert refused.value.code == "serving.untrusted_types"


class Doubling(TransformerMixin, BaseEstimator):
    """A step that somebody wrote."""

    def fit(self, rows, target=None):
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows):
        return rows * 2


def verdict(answers, own):
    """What is said of these answers beside the model's own."""
    replay = Replay(np.zeros((len(own), 1)), np.array(own), len(own), 1e-6)
    return judge(
        Trial(way="native", runtime="any", accepted=False, why=""), np.array(answers), replay
    )


def test_no_answer_is_the_same_as_no_answer_and_nothing_else():
    """A model without an answer to a missing value is kept by a form that has none either."""
    nan, infinite = np.nan, np.inf
    assert verdict([0.5, nan, infinite], [0.5, nan, infinite]).accepted
    for answers in ([0.5, 0.5, infinite], [nan, nan, infinite], [0.5, nan, -infinite]):
        assert verdict(answers, [0.5, nan, infinite]).rows_off == 1


def test_the_last_bits_of_a_short_number_are_no_evidence():
    """Where the model itself counts in 32 bits, a millionth is of its answers and not their spread."""
    signature = Signature((InputColumn("a", "number"),), "value")
    short = np.array([1000.0, 1000.5, np.nan])
    assert default_tolerance(short, signature) == pytest.approx(1e-6 * 1000.5)
    assert default_tolerance(short + 1e-9, signature) == pytest.approx(1e-6 * 0.25)
