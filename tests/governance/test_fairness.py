"""Group rates and gaps are those of the hand calculation, with intervals that respect clusters."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.errors import Invalid
from mainspring.governance.fairness import Fairness, fairness

# group A: 4 rows, 2 positive; selected 3, hits 2, false alarms 1 -> rates 3/4, 2/2, 1/2
# group B: 5 rows, 2 positive; selected 1, hits 1, false alarms 0 -> rates 1/5, 1/2, 0/3
LABELS = [1, 1, 0, 0, 1, 1, 0, 0, 0]
SCORES = [0.9, 0.5, 0.7, 0.1, 0.8, 0.2, 0.1, 0.3, 0.4]
GROUPS = ["A"] * 4 + ["B"] * 5


def test_rates_and_gaps_by_hand() -> None:
    """Nine rows, every number worked out on paper."""
    found = fairness(LABELS, SCORES, GROUPS, threshold=0.5, min_rows=1)
    b, a = found.groups
    assert (b.group, b.n, b.positives, b.base_rate) == ("B", 5, 2, 0.4)
    assert (a.selection_rate.value, a.true_positive_rate.value) == (0.75, 1.0)
    assert (a.false_positive_rate.value, b.false_positive_rate.value) == (0.5, 0.0)
    assert (b.selection_rate.value, b.true_positive_rate.value) == (0.2, 0.5)
    assert {name: gap.value for name, gap in found.gaps.items()} == {
        "selection_rate_gap": pytest.approx(0.55),
        "true_positive_rate_gap": 0.5,
        "false_positive_rate_gap": 0.5,
        "equalized_odds_gap": 0.5,
        "selection_rate_ratio": pytest.approx(0.2 / 0.75),
    }


def test_a_small_group_is_listed_but_in_no_gap() -> None:
    """Three groups, one tiny and extreme: it has values, and the gaps ignore it."""
    found = fairness([*LABELS, 0], [*SCORES, 1.0], [*GROUPS, None], threshold=0.5, min_rows=4)
    assert [one.group for one in found.groups] == ["B", "A", "(missing)"]
    assert [one.judged for one in found.groups] == [True, True, False]
    assert found.groups[2].selection_rate.value == 1.0
    assert found.gaps["false_positive_rate_gap"].value == 0.5


def test_undefined_rates_and_gaps_are_none() -> None:
    """A group without positives has no true positive rate; one group has no gap."""
    found = fairness([0, 0, 1], [0.1, 0.9, 0.8], ["A", "A", "B"], threshold=0.5, min_rows=1)
    assert found.groups[0].true_positive_rate.value is None
    assert found.gaps["true_positive_rate_gap"].value is None
    assert found.gaps["equalized_odds_gap"].value is None
    assert found.gaps["selection_rate_gap"].value == 0.5
    alone = fairness([0, 1], [0.1, 0.9], ["A", "A"], threshold=0.5, min_rows=1)
    assert all(gap.value is None and gap.low is None for gap in alone.gaps.values())


def world(seed: int, unfair: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """2,000 rows in two groups over 20 days; group 1's scores are raised by ``unfair``."""
    random = np.random.default_rng(seed)
    group, day = random.integers(0, 2, 2_000), random.integers(0, 20, 2_000)
    p = random.beta(2, 3, 2_000)
    y = (random.random(2_000) < p).astype(float)
    return y, p + unfair * group, group, day


def test_a_large_gap_is_sure_and_a_small_one_is_not() -> None:
    """Raised scores give a gap surely above 0.1; equal treatment never does in 20 worlds."""
    y, p, group, day = world(1, 0.2)
    gap = fairness(y, p, group, day, threshold=0.5).gaps["selection_rate_gap"]
    assert gap.low is not None
    assert gap.low > 0.1
    for seed in range(20):
        y, p, group, day = world(seed, 0.0)
        gap = fairness(y, p, group, day, threshold=0.5, draws=100).gaps["selection_rate_gap"]
        assert gap.low is not None
        assert gap.low < 0.1


@settings(deadline=None)
@given(st.integers(0, 1_000))
def test_renaming_the_groups_changes_no_gap(seed: int) -> None:
    """Gaps look at rates, not at names; and equal input gives equal bytes."""
    y, p, group, day = world(seed, 0.1)
    rows = slice(0, 200)
    first = fairness(y[rows], p[rows], group[rows], day[rows], threshold=0.4, min_rows=1, draws=5)
    names = np.where(group == 0, "z", "a")
    second = fairness(y[rows], p[rows], names[rows], day[rows], threshold=0.4, min_rows=1, draws=5)
    assert msgspec.json.encode(first.gaps) == msgspec.json.encode(second.gaps)
    data = msgspec.json.encode(first)
    assert msgspec.json.encode(msgspec.json.decode(data, type=Fairness)) == data


def test_an_id_is_not_a_group() -> None:
    """Two hundred groups and one more are refused; so are groups of other rows."""
    with pytest.raises(Invalid) as caught:
        fairness(np.zeros(300), np.zeros(300), np.arange(300), threshold=0.5)
    assert caught.value.code == "governance.too_many_groups"
    with pytest.raises(Invalid, match="2 groups for 3 rows"):
        fairness([0, 1, 1], [0.1, 0.2, 0.3], ["A", "B"], threshold=0.5)
