"""Realised performance tells what it rests on; the estimate is right while its assumption is."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.errors import Invalid
from mainspring.monitoring.performance import (
    ASSUMPTION,
    EstimatedPerformance,
    estimated,
    expected_auc,
    realised,
)
from mainspring.problem.types import Costs, MetricName
from mainspring.training.metrics import Measure, auc, metric

AUC = Measure(name="auc")
NAMES: list[MetricName] = ["auc", "log_loss", "brier", "cost_per_1000"]


def window(seed: int, n: int = 3_000) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the true probabilities they were drawn from."""
    random = np.random.default_rng(seed)
    p = random.beta(2, 5, n)
    return (random.random(n) < p).astype(float), p


def test_a_window_with_late_labels_says_so() -> None:
    """Value of the labelled rows only, coverage, maturity, and not final."""
    y, p = window(1)
    late = y.copy()
    late[2_000:] = np.nan
    due = np.arange(3_000) < 2_400
    found = realised(AUC, late, p, np.arange(3_000) // 100, due=due)
    assert found.estimate is not None
    assert found.estimate.value == auc(y[:2_000], p[:2_000])
    assert found.estimate.clusters == 20
    assert (found.n, found.labelled, found.final) == (3_000, 2_000, False)
    assert (found.coverage, found.maturity) == (pytest.approx(2 / 3), 0.8)


def test_a_window_is_final_when_enough_labels_are_there() -> None:
    """90 % of the labels and all of them due; without due marks the coverage decides."""
    y, p = window(2)
    y[:300] = np.nan
    assert realised(AUC, y, p, due=np.ones(3_000)).final
    assert realised(AUC, y, p).final
    assert not realised(AUC, y, p, min_coverage=0.95).final


def test_a_window_without_labels_has_no_value() -> None:
    """None, and no error: labels are late, not wrong."""
    found = realised(AUC, [None, None], [0.1, 0.2])
    assert (found.estimate, found.labelled, found.target_mean, found.final) == (
        None,
        0,
        None,
        False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_estimate_holds_what_is_realised(name: MetricName) -> None:
    """While scores are calibrated, 90 % intervals hold the realised value in 82 to 97 % of 150."""
    measure = Measure(name=name, threshold=0.3, costs=Costs(false_negative=3))
    held = 0
    for seed in range(150):
        y, p = window(seed, n=400)
        found = estimated(measure, p, seed=seed, confidence=0.9, draws=150)
        value = metric(measure, y, p)
        assert found.low is not None
        assert found.high is not None
        assert value is not None
        held += found.low <= value <= found.high
    assert 0.82 * 150 <= held <= 0.97 * 150


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=1, max_size=12))
def test_the_expected_auc_counts_expected_pairs(scores: list[float]) -> None:
    """The sum over all pairs of two rows, a tie as one half, by the slow and plain way."""
    p = np.array(scores)
    top = bottom = 0.0
    for i, a in enumerate(p):
        for j, b in enumerate(p):
            if i != j:
                top += a * (1 - b) * ((a > b) + 0.5 * (a == b))
                bottom += a * (1 - b)
    found = expected_auc(p)
    if bottom < 1e-12:
        assert found is None
    else:
        assert found == pytest.approx(top / bottom)


def test_the_estimate_is_blind_to_concept_drift_and_says_so() -> None:
    """Labels turned round ruin the model; the estimate does not see it, and states why."""
    y, p = window(7)
    found = estimated(AUC, p)
    realised_value = auc(1 - y, p)
    assert realised_value is not None
    assert found.value is not None
    assert found.value > realised_value + 0.2
    assert "concept" in found.assumption
    assert found.assumption == ASSUMPTION


def test_equal_input_gives_equal_bytes() -> None:
    """Seeded, plain JSON, and read back."""
    _, p = window(3)
    data = msgspec.json.encode(estimated(AUC, p, seed=4))
    assert data == msgspec.json.encode(estimated(AUC, p, seed=4))
    assert msgspec.json.encode(msgspec.json.decode(data, type=EstimatedPerformance)) == data


def test_certain_scores_have_no_expected_auc() -> None:
    """All surely negative: no pair, no AUC, no NaN."""
    found = estimated(AUC, [0.0, 0.0])
    assert (found.value, found.low, found.high, found.draws) == (None, None, None, 0)


def test_what_cannot_be_estimated_is_refused() -> None:
    """Regression errors need labels; a score of 1.5 is no probability."""
    with pytest.raises(Invalid) as caught:
        estimated(Measure(name="mae", task="regression"), [0.5])
    assert caught.value.code == "monitoring.no_estimate"
    with pytest.raises(Invalid, match="not a probability"):
        estimated(AUC, [0.5, 1.5])
