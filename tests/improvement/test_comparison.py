"""A challenger is promoted for what it can do, not for luck."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.errors import Invalid
from mainspring.improvement.comparison import (
    Contender,
    PairedComparison,
    Rules,
    compare,
    confidence_at,
)
from mainspring.problem.types import Costs, MetricName
from mainspring.training.metrics import auc

DAYS = 14


def world(
    seed: int, champion_noise: float, challenger_noise: float, rows_a_day: int = 40
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, days and two models' scores; some days suit one model, some the other."""
    random = np.random.default_rng(seed)
    day = np.arange(DAYS).repeat(rows_a_day)
    truth = random.normal(size=day.size)
    y = (truth + random.normal(size=day.size) > 0.8).astype(float)
    mood = random.uniform(0.6, 1.4, (2, DAYS))
    scores = [
        truth + noise * mood[model, day] * random.normal(size=day.size)
        for model, noise in enumerate((champion_noise, challenger_noise))
    ]
    champion, challenger = (1 / (1 + np.exp(-one)) for one in scores)
    return y, day, champion, challenger


def judged(seed: int, noises: tuple[float, float], rules: Rules) -> PairedComparison:
    """One comparison in one world."""
    y, day, champion, challenger = world(seed, *noises)
    return compare(
        y,
        day,
        champion=Contender(champion),
        challenger=Contender(challenger),
        rules=rules,
    )


def test_luck_is_promoted_about_as_often_as_promised() -> None:
    """Two equally good models on 14 days: of 400 worlds 1 to 8 % say better (promised: 5 %)."""
    rules = Rules(metric="auc", confidence=0.9, draws=200)
    found = [judged(seed, (1.0, 1.0), rules).verdict for seed in range(400)]
    assert 4 <= found.count("better") <= 32
    assert 4 <= found.count("worse") <= 32


def test_ten_looks_keep_the_promise_together() -> None:
    """Ten numbered looks at equal models promote luck no more often than one may; unnumbered do."""
    numbered = unnumbered = 0
    for seed in range(60):
        y, day, champion, challenger = world(seed, 1.0, 1.0, rows_a_day=100)
        verdicts: dict[bool, list[str]] = {True: [], False: []}
        for look in range(1, 11):
            rows = np.arange(y.size) % 100 < 10 * look
            for spent in (True, False):
                one = compare(
                    y[rows],
                    day[rows],
                    champion=Contender(champion[rows]),
                    challenger=Contender(challenger[rows]),
                    rules=Rules(
                        metric="brier", confidence=0.8, draws=100, look=look if spent else None
                    ),
                )
                verdicts[spent].append(one.verdict)
        numbered += "better" in verdicts[True]
        unnumbered += "better" in verdicts[False]
    assert numbered <= 0.1 * 60 + 6
    assert unnumbered > numbered


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier", "cost_per_1000"])
def test_a_clear_gain_and_a_clear_loss_are_seen(metric: MetricName) -> None:
    """Whether more or less of the metric is better, the verdict points the right way."""
    rules = Rules(metric=metric, costs=Costs(false_negative=2), draws=200)
    gain, loss = judged(1, (3.0, 0.2), rules), judged(1, (0.2, 3.0), rules)
    assert (gain.verdict, loss.verdict) == ("better", "worse")
    assert gain.p is not None
    assert gain.p < 0.1
    assert gain.difference is not None
    assert (gain.difference > 0) == gain.higher_is_better


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_swapping_the_two_mirrors_everything(seed: int) -> None:
    """Champion and challenger exchanged: the difference changes its sign, better becomes worse."""
    rules = Rules(metric="brier", draws=60)
    y, day, a, b = world(seed, 1.0, 0.7, rows_a_day=5)
    one = compare(y, day, champion=Contender(a), challenger=Contender(b), rules=rules)
    two = compare(y, day, champion=Contender(b), challenger=Contender(a), rules=rules)
    assert one.difference == pytest.approx(-(two.difference or 0.0))
    assert one.low == pytest.approx(-(two.high or 0.0))
    mirror = {"better": "worse", "worse": "better", "undecided": "undecided"}
    assert mirror[one.verdict] == two.verdict


def test_a_model_against_itself_is_undecided() -> None:
    """No difference in any draw: an interval of zero, p = 1 and no promotion."""
    y, day, a, _ = world(1, 1.0, 1.0)
    one = compare(y, day, champion=Contender(a), challenger=Contender(a), rules=Rules(metric="auc"))
    assert (one.verdict, one.difference, one.low, one.high, one.p) == ("undecided", 0, 0, 0, 1)
    assert (one.n, one.clusters, one.champion) == (560, 14, auc(y, a))


def test_the_margin_asks_for_more_or_forgives_a_little() -> None:
    """A real but small gain fails a large margin; a tie passes a forgiving one."""
    assert judged(2, (2.0, 0.5), Rules(metric="auc", margin=0.0)).verdict == "better"
    assert judged(2, (2.0, 0.5), Rules(metric="auc", margin=0.2)).verdict == "undecided"
    assert judged(5, (1.0, 1.0), Rules(metric="auc", margin=-0.2)).verdict == "better"
    assert judged(1, (0.2, 3.0), Rules(metric="auc", margin=-0.01)).verdict == "worse"


def test_each_model_decides_by_its_own_threshold() -> None:
    """The same scores with a dearer threshold cost more."""
    y, day, a, _ = world(3, 0.5, 0.5)
    costs = Costs(false_negative=5, false_positive=1)
    one = compare(
        y,
        day,
        champion=Contender(a, threshold=0.9),
        challenger=Contender(a, threshold=0.4),
        rules=Rules(metric="cost_per_1000", costs=costs),
    )
    assert one.verdict == "better"
    assert one.difference is not None
    assert one.difference < 0


def test_equal_input_gives_equal_bytes() -> None:
    """Evidence can be reproduced to the byte, and read back from JSON."""
    rules = Rules(metric="auc", draws=100, seed=5)
    first = msgspec.json.encode(judged(4, (1.0, 0.9), rules))
    assert msgspec.json.encode(judged(4, (1.0, 0.9), rules)) == first
    assert msgspec.json.encode(msgspec.json.decode(first, type=PairedComparison)) == first


def test_what_has_no_answer_is_undecided() -> None:
    """One class, or a single day, gives None and 'undecided', never a promotion."""
    both = {"champion": Contender([0.1, 0.2]), "challenger": Contender([0.3, 0.9])}
    none = compare([1, 1], [0, 1], **both, rules=Rules(metric="auc"))
    assert (none.verdict, none.difference, none.low, none.p) == ("undecided", None, None, None)
    single = compare([0, 1], [7, 7], **both, rules=Rules(metric="auc"))
    assert (single.verdict, single.difference, single.p) == ("undecided", 0.0, None)


def test_looks_spend_the_risk_once() -> None:
    """A thousand looks together spend no more than one; none means a single planned look."""
    spent = sum(1 - confidence_at(look, 0.9) for look in range(1, 1001))
    assert 0.0999 < spent < 0.1
    assert confidence_at(None, 0.9) == 0.9
    with pytest.raises(Invalid) as caught:
        confidence_at(0, 0.9)
    assert caught.value.code == "improvement.bad_look"


def test_different_rows_are_refused() -> None:
    """A prediction too few is an error, not a shift by one row."""
    with pytest.raises(Invalid) as caught:
        compare(
            [0, 1, 1],
            None,
            champion=Contender([0.1, 0.2, 0.3]),
            challenger=Contender([0.1, 0.2]),
            rules=Rules(metric="auc"),
        )
    assert caught.value.code == "training.length_mismatch"
