"""The metrics are exact, agree with scikit-learn, and refuse what they cannot judge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as peer

from mainspring.core.errors import Invalid
from mainspring.problem.types import Costs, MetricName
from mainspring.training.metrics import Measure, auc, brier, log_loss, metric

rows = st.integers(1, 60)


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores on a coarse grid so that ties abound."""
    n = draw(rows)
    y = draw(arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0])))
    p = draw(arrays(np.float64, n, elements=st.integers(0, 8).map(lambda k: k / 8)))
    return y, p


@settings(deadline=None)
@given(judged())
def test_auc_counts_pairs(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """The AUC is the share of ordered pairs with a tie as one half, and None for one class."""
    y, p = sample
    pairs = [(a > b) + 0.5 * (a == b) for a in p[y == 1] for b in p[y == 0]]
    assert auc(y, p) == (pytest.approx(np.mean(pairs), abs=1e-12) if pairs else None)


@settings(deadline=None)
@given(judged())
def test_auc_is_blind_to_monotone_changes_and_mirrors(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    """Only the order counts, and turning it round gives one minus the value."""
    y, p = sample
    value = auc(y, p)
    assert auc(y, np.exp(3 * p) - 7) == value
    assert auc(y, -p) == (None if value is None else pytest.approx(1 - value, abs=1e-12))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (auc, peer.roc_auc_score),
        (log_loss, peer.log_loss),
        (brier, peer.brier_score_loss),
    ],
)
def test_binary_metrics_agree_with_scikit_learn(
    ours: Callable[..., float], theirs: Callable[..., float]
) -> None:
    """On 5,000 rows with ties and scores of exactly 0 and 1, twelve digits agree."""
    random = np.random.default_rng(3)
    y = (random.random(5_000) < 0.3).astype(float)
    p = np.round(np.clip(random.normal(0.3 + 0.2 * y, 0.3), 0, 1), 2)
    assert ours(y, p) == pytest.approx(theirs(y, p), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mae", peer.mean_absolute_error),
        ("rmse", peer.root_mean_squared_error),
        ("r2", peer.r2_score),
    ],
)
def test_regression_metrics_agree_with_scikit_learn(
    name: MetricName, theirs: Callable[..., float]
) -> None:
    """Also when the target sits far from zero, where naive variances cancel."""
    random = np.random.default_rng(4)
    y = 1e6 + random.normal(size=2_000)
    p = y + random.normal(size=2_000) / 2
    measure = Measure(name=name, task="regression")
    assert metric(measure, y, p) == pytest.approx(theirs(y, p), rel=1e-9)


def test_cost_follows_the_declared_matrix() -> None:
    """One row of each kind, cost by hand: (5 + 1 - 2 + 0) / 4 rows * 1000."""
    costs = Costs(false_negative=5, false_positive=1, true_positive=-2, true_negative=0)
    measure = Measure(name="cost_per_1000", threshold=0.5, costs=costs)
    assert metric(measure, [1, 0, 1, 0], [0.4, 0.5, 0.6, 0.4]) == 1000.0


def test_regression_cost_tells_under_from_over() -> None:
    """Two units too low at 3, one unit too high at 1: (6 + 1) / 2 * 1000."""
    measure = Measure(name="cost_per_1000", task="regression", costs=Costs(under=3, over=1))
    assert metric(measure, [10, 5], [8, 6]) == 3500.0


def test_r2_of_a_constant_target_is_none() -> None:
    """There is no variance to explain."""
    assert metric(Measure(name="r2", task="regression"), [0.1] * 3, [0.1, 0.2, 0.3]) is None


@pytest.mark.parametrize(
    ("labels", "scores", "code"),
    [
        ([], [], "training.empty"),
        ([0, 1], [0.5], "training.length_mismatch"),
        ([0, 1], [0.5, float("nan")], "training.not_finite"),
        ([0, float("nan")], [0.5, 0.5], "training.not_finite"),
        ([0, 2], [0.5, 0.5], "training.not_binary"),
        ([0, 1], ["high", "low"], "training.not_numeric"),
        ([[0, 1]], [0.5, 0.5], "training.wrong_shape"),
        ([0, 1], [0.5, 1.5], "training.not_probability"),
    ],
)
def test_what_cannot_be_judged_is_refused(labels: object, scores: object, code: str) -> None:
    """Bad input is a typed error, never a silent NaN."""
    with pytest.raises(Invalid) as caught:
        log_loss(labels, scores)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_a_binary_metric_of_a_regression_is_refused() -> None:
    """The AUC of a number to predict has no meaning."""
    with pytest.raises(Invalid, match="binary"):
        metric(Measure(name="auc", task="regression"), [1.0, 2.0], [1.0, 2.0])
