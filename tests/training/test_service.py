from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from mainspring._adapters.lightgbm.learner import GradientBoosting
from mainspring._adapters.linear.runtime import LinearRuntime
from mainspring._adapters.sklearn.learner import Linear, Logistic
from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.problem.types import Costs, Guardrail, Problem, SuccessMetric
from mainspring.training.encoding import matrix
from mainspring.training.linear import ConstantLearner
from mainspring.training.service import Trainer
from mainspring.training.table import TrainingTable
from mainspring.training.types import Gate, Search, Split, Training

START = datetime(2020, 1, 1, tzinfo=UTC)
DAYS = 60
LEARNERS = [Logistic(), Linear(), GradientBoosting(), ConstantLearner()]
TRAINER = Trainer({learner.name: learner for learner in LEARNERS})
SPEC = Training(
    parameters={"rounds": 30, "min_data_in_leaf": 20},
    split=Split(validation="10d", test="10d"),
    bootstrap=100,
    slices=("city",),
)
PROBLEM = Problem(
    objective="o",
    questions=("q",),
    task="binary",
    dataset="d",
    target="y",
    costs=Costs(false_negative=4, false_positive=1),
    metrics=(SuccessMetric(name="auc", at_least=0.6),),
    guardrails=(Guardrail(metric="auc", group="city", at_least=0.5, min_rows=50),),
)
GATES = (Gate(name="baseline", beats="baseline"), Gate(name="constant", beats="constant"))


def table(*, signal=2.0, rows=6000, seed=0):
    """Rows whose target depends on x and z together, which no linear model can see."""
    draw = np.random.default_rng(seed)
    x, z = draw.normal(size=rows), draw.normal(size=rows)
    city = draw.choice(np.array(["rome", "oslo", "lima"], dtype=object), size=rows)
    odds = signal * (x * z + 0.2 * (city == "rome"))
    target = (draw.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    at = np.datetime64(START.replace(tzinfo=None), "us") + np.sort(
        draw.integers(0, DAYS * 86_400, rows)
    ).astype("timedelta64[s]")
    return TrainingTable(
        inputs={"x": x, "z": z, "city": city},
        target=target,
        keys=np.arange(rows).astype(str).astype(object),
        predicted_at=at,
        known_at=at + np.timedelta64(3, "h"),
        groups={"city": city},
    )


@pytest.fixture(scope="module")
def trained():
    return TRAINER.train(table(), spec=SPEC, problem=PROBLEM, gates=GATES)


def test_a_real_advantage_passes_every_gate(trained):
    """A model that sees what the baseline cannot is let through, each gate with its reason."""
    report = trained.report
    assert report.passed, [v.reason for v in report.verdicts if not v.passed]
    assert {v.gate for v in report.verdicts} == {
        "problem.auc",
        "baseline",
        "constant",
        "guardrail.auc.city",
    }
    assert report.advantages[0].low > 0


def test_noise_is_refused_with_the_reason_recorded():
    """A target that inputs say nothing about passes neither the metric nor the baseline gate."""
    report = TRAINER.train(table(signal=0.0), spec=SPEC, problem=PROBLEM, gates=GATES).report
    failed = {v.gate: v.reason for v in report.verdicts if not v.passed}
    assert {"problem.auc", "constant"} <= set(failed)
    assert "wanted at least 0.6" in failed["problem.auc"]


def test_the_same_rows_and_seed_give_the_same_bytes(trained):
    """Files and report are reproducible, whatever the number of threads."""
    threads = Trainer({**TRAINER.learners, "gradient_boosting": GradientBoosting(threads=2)})
    again = threads.train(table(), spec=SPEC, problem=PROBLEM, gates=GATES)
    assert again.final.model.files() == trained.final.model.files()
    assert msgspec.json.encode(again.report) == msgspec.json.encode(trained.report)


def test_labels_from_after_the_moment_are_not_learned_from():
    """Rewriting every label that was unknown at 'until' changes nothing."""
    until = START + timedelta(days=50)
    one, other = table(), table()
    late = other.known_at > np.datetime64(until.replace(tzinfo=None), "us")
    other.target[late] = 1 - other.target[late]
    files = [
        TRAINER.train(t, spec=SPEC, problem=PROBLEM, until=until).final.model.files()
        for t in (one, other)
    ]
    assert files[0] == files[1]


def test_search_takes_the_best_trial_on_validation_rows():
    """Each trial is reported, and the chosen parameters are those of the best."""
    space = {"num_leaves": (2, 15), "learning_rate": (0.01, 0.1)}
    spec = msgspec.structs.replace(SPEC, search=Search(trials=4, space=space))
    report = TRAINER.train(table(), spec=spec, problem=PROBLEM).report
    best = max(report.trials, key=lambda trial: trial.value)
    assert len(report.trials) == 4
    assert {k: report.parameters[k] for k in space} == best.parameters


def test_a_linear_model_written_as_numbers_predicts_as_the_library_does():
    """The plain file gives scikit-learn's own probabilities, nulls and unseen categories included."""
    from sklearn.linear_model import LogisticRegression

    rows = table(rows=800)
    rows.inputs["x"][::7] = np.nan
    learner = Logistic()
    columns_model = learner.fit(
        rows.inputs, rows.target, columns=_columns(rows), parameters={}, seed=0
    )
    x = rows.inputs["x"]
    missing = np.isnan(x)
    mean, scale = x[~missing].mean(), x[~missing].std()
    z = rows.inputs["z"]
    city = rows.inputs["city"]
    design = np.column_stack(
        [
            np.where(missing, 0, (x - mean) / scale),
            missing,
            (z - z.mean()) / z.std(),
            *[city == name for name in ("lima", "oslo", "rome")],
        ]
    ).astype(float)
    reference = LogisticRegression(max_iter=200, tol=1e-3).fit(design, rows.target)
    np.testing.assert_allclose(
        columns_model.predict(rows.inputs), reference.predict_proba(design)[:, 1], atol=1e-3
    )
    unseen = {**rows.inputs, "city": np.full(len(rows), "paris", dtype=object)}
    assert np.isfinite(columns_model.predict(unseen)).all()


def test_a_linear_model_is_served_as_it_was_trained():
    """Runtime and learner give the same number to every row, nulls and unseen values included."""
    rows = table(rows=600)
    rows.inputs["x"][::5] = np.nan
    columns = _columns(rows)
    model = Logistic().fit(rows.inputs, rows.target, columns=columns, parameters={}, seed=0)
    served = LinearRuntime().load(model.files(), Signature(columns, "probability"))
    asked = {**rows.inputs, "city": np.where(np.arange(600) % 7, rows.inputs["city"], "paris")}
    asked["city"] = asked["city"].astype(object)
    np.testing.assert_allclose(
        served.predict(matrix(asked, columns)), model.predict(asked), atol=1e-12
    )


def _columns(rows):
    from mainspring.training.encoding import infer_columns

    return infer_columns(rows.inputs, tuple(rows.inputs), rows.categorical)


def test_regression_is_judged_in_its_own_metrics():
    """A regression is compared by absolute error and needs no threshold."""
    rows = table()
    rows.target[:] = 3 * rows.inputs["x"] + rows.inputs["z"]
    problem = Problem(objective="o", questions=("q",), task="regression", dataset="d", target="y")
    spec = msgspec.structs.replace(SPEC, learner="linear", baseline="constant")
    report = TRAINER.train(
        rows, spec=spec, problem=problem, gates=(Gate(name="g", beats="constant"),)
    ).report
    assert report.passed
    assert report.metrics["mae"] < 0.05
    assert report.decision is None


@pytest.mark.parametrize(
    ("target", "code"),
    [(np.nan, "training.no_rows"), (1.0, "training.one_class"), (None, "training.not_binary")],
)
def test_a_target_that_cannot_be_learned_is_named(target, code):
    """No label, one class, or a third class: an error that says which."""
    rows = table(rows=500)
    if target is None:
        rows.target[0] = 2.0
    else:
        rows.target[:] = target
    with pytest.raises(Invalid) as caught:
        TRAINER.train(rows, spec=SPEC, problem=PROBLEM)
    assert caught.value.code == code
    assert caught.value.hint
