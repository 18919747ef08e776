"""The threshold found is the cheapest there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.errors import Invalid
from mainspring.problem.types import Costs
from mainspring.training.decision import by_cost, by_probability, cost_curve, theoretical_threshold
from mainspring.training.metrics import Measure, metric

FIVE_TO_ONE = Costs(false_negative=5, false_positive=1)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40),
    st.floats(0, 10),
    st.floats(0, 10),
    st.floats(0.1, 1),
)
def test_no_threshold_is_cheaper(
    rows: list[tuple[bool, int]], miss: float, alarm: float, most: float
) -> None:
    """Every other threshold within the capacity costs at least as much."""
    y = np.array([float(label) for label, _ in rows])
    p = np.array([score / 6 for _, score in rows])
    costs = Costs(false_negative=miss, false_positive=alarm)
    found = by_cost(y, p, costs, most_selected=most)

    def cost(threshold: float) -> float:
        value = metric(Measure(name="cost_per_1000", threshold=threshold, costs=costs), y, p)
        assert value is not None
        return value

    assert cost(found.threshold) == pytest.approx(found.cost_per_1000)
    assert (p >= found.threshold).mean() == found.selected_share <= most
    for other in [*np.unique(p), 2.0]:
        if (p >= other).mean() <= most:
            assert found.cost_per_1000 <= cost(other) + 1e-9


def test_theory_by_hand() -> None:
    """A miss five times as dear as an alarm: act from one sixth. Gains count too."""
    assert theoretical_threshold(FIVE_TO_ONE) == pytest.approx(1 / 6)
    assert theoretical_threshold(Costs(true_positive=-1, false_negative=1)) == pytest.approx(1 / 3)


def test_theory_meets_practice_on_honest_scores() -> None:
    """With 100,000 true probabilities both ways cost the same within 1 %."""
    random = np.random.default_rng(1)
    p = random.beta(2, 5, 100_000)
    y = (random.random(p.size) < p).astype(float)
    theory, practice = by_probability(y, p, FIVE_TO_ONE), by_cost(y, p, FIVE_TO_ONE)
    assert practice.cost_per_1000 <= theory.cost_per_1000 < 1.01 * practice.cost_per_1000
    assert practice.threshold == pytest.approx(theory.threshold, abs=0.04)
    assert practice.cost_per_1000 < min(practice.cost_per_1000_never, practice.cost_per_1000_always)


def test_the_cost_curve_runs_from_never_to_always() -> None:
    """At most 200 points; the ends are the two decisions that need no model."""
    random = np.random.default_rng(2)
    p = random.random(5_000)
    y = (random.random(p.size) < p).astype(float)
    found, decision = cost_curve(y, p, FIVE_TO_ONE), by_cost(y, p, FIVE_TO_ONE)
    assert len(found.x) <= 200
    assert found.y[0] == pytest.approx(decision.cost_per_1000_never)
    assert found.y[-1] == pytest.approx(decision.cost_per_1000_always)
    assert min(found.y) < 1.02 * decision.cost_per_1000


@pytest.mark.parametrize(
    "costs",
    [
        Costs(false_negative=0, false_positive=0),
        Costs(false_negative=1, true_positive=2),
        Costs(false_positive=1, true_negative=2),
    ],
)
def test_meaningless_costs_are_refused(costs: Costs) -> None:
    """If being wrong is cheaper than being right, no threshold makes sense."""
    with pytest.raises(Invalid) as caught:
        theoretical_threshold(costs)
    assert caught.value.code == "training.costs_indifferent"
