"""From scores to decisions, by the policy that a model is released with."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.errors import Broken, Invalid
from mainspring.serving.model import load_model
from mainspring.serving.policy import (
    POLICY_FILE,
    Capacity,
    CostPerRow,
    Hands,
    Threshold,
    decide,
    read_policy,
)

NOW = np.zeros(3, np.int64)
SCORE = np.array([0.1, 0.5, 0.9])


def test_a_threshold_counts_from_itself():
    """Yes at or above it."""
    assert decide(Threshold(0.5), SCORE, {}, NOW, None).tolist() == [False, True, True]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1000)), min_size=1, max_size=30),
    st.floats(0, 100),
)
def test_cost_per_row_never_chooses_the_dearer(rows, alarm):
    """Whatever a miss costs: the decision costs, on average, no more than the other one."""
    score, miss = (np.array(values) for values in zip(*rows, strict=True))
    policy = CostPerRow(column="amount", false_positive=alarm, true_positive=1.0)
    times = np.zeros(len(score), np.int64)
    yes = decide(policy, score, {"amount": miss}, times, None)
    acting, waiting = score + (1 - score) * alarm, score * miss
    chosen = np.where(yes, acting, waiting)
    assert (chosen <= np.where(yes, waiting, acting)).all()


@pytest.mark.parametrize("columns", [{}, {"amount": np.array([1.0, np.nan, 2.0])}])
def test_a_row_without_its_cost_is_refused(columns):
    """No decision is made on a cost that is not known."""
    with pytest.raises(Invalid):
        decide(CostPerRow(column="amount", false_positive=1.0), SCORE, columns, NOW, None)


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 1), st.integers(0, 400)), min_size=1, max_size=20),
        max_size=10,
    ),
    st.integers(0, 5),
)
def test_a_window_never_has_more_than_its_capacity(requests, most):
    """However rows come, at most so many of a window are acted on, all above the threshold."""
    policy, hands = Capacity(threshold=0.3, most=most, window_micros=100), Hands()
    taken: dict[int, int] = {}
    for rows in requests:
        score, times = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], np.int64)
        yes = decide(policy, score, {}, times, hands)
        assert (score[yes] >= 0.3).all()
        for window in (times[yes] // 100).tolist():
            taken[window] = taken.get(window, 0) + 1
        wanting = (score >= 0.3) & ~yes
        assert all(taken.get(window, 0) == most for window in (times[wanting] // 100).tolist())
    assert all(count <= most for count in taken.values())


def test_the_best_of_a_request_come_first():
    """Where hands are few, the highest scores get them; a copy takes none."""
    policy, hands = Capacity(threshold=0.3, most=1, window_micros=100), Hands()
    assert decide(policy, SCORE, {}, NOW, None).tolist() == [False, True, True]
    assert decide(policy, SCORE, {}, NOW, hands).tolist() == [False, False, True]
    assert decide(policy, SCORE, {}, NOW, hands).tolist() == [False, False, False]


def test_a_policy_is_released_with_its_model(package, objects, runtimes):
    """It is a file of the package: checked by digest, loaded with the model."""
    policy = Capacity(threshold=0.3, most=5, window_micros=100)
    digest = package()
    manifest = msgspec.json.decode(objects.get(digest))
    manifest["files"][POLICY_FILE] = objects.put(msgspec.json.encode(policy))
    model = load_model(objects.put(msgspec.json.encode(manifest)), objects.get, runtimes)
    assert model.policy == policy
    assert load_model(digest, objects.get, runtimes).policy is None
    with pytest.raises(Broken):
        read_policy(b'{"kind": "mood"}')
