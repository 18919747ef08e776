"""Whether the challenger is better than the champion, on labelled rows neither has learned from.

Both models are judged on the same rows and the same draws of whole clusters (days), so what
makes a day hard for both cancels out.

The promise: with no true difference, ``better`` is said in about (1 - confidence) / 2 of all
comparisons, whatever the data looks like. That holds for ONE look. Whoever looks again every
morning until the answer pleases will be fooled. So number repeated comparisons of one pair with
``look`` = 1, 2, 3 ...: each look spends its part of the risk, and the promise holds for all of
them together, however many they become.

Source: Davison and Hinkley (1997), 3.8 and 4.4; the union bound over looks with 6 / (pi k)^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct, field
from numpy.typing import ArrayLike

from mainspring.core.errors import Invalid
from mainspring.problem.types import HIGHER_IS_BETTER, Costs, MetricName, Task
from mainspring.training.bootstrap import (
    cluster_index,
    interval,
    p_value,
    resample,
    statistic_of,
)
from mainspring.training.metrics import Measure, checked, metric
from mainspring.training.vectors import share

Verdict = Literal["better", "worse", "undecided"]


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """One model's predictions of the rows, with the threshold it decides by."""

    predictions: ArrayLike
    threshold: float = 0.5


class Rules(Struct, frozen=True, kw_only=True):
    """What is compared and how sure one wants to be.

    ``margin``: the least improvement that counts, in the metric's unit. A negative margin
    accepts a challenger that is surely not worse by more than that.
    """

    metric: MetricName
    task: Task = "binary"
    confidence: float = 0.9
    margin: float = 0.0
    look: int | None = None
    draws: int = 1000
    seed: int = 0
    costs: Costs = field(default_factory=Costs)


class PairedComparison(Struct, frozen=True, kw_only=True):
    """The challenger beside the champion.

    ``difference`` is challenger minus champion in the metric's own direction, ``low`` to ``high``
    its interval at ``confidence`` (after the spending of looks). ``p`` is two-sided against "no
    difference". All are None where the metric is undefined or there is a single cluster.
    """

    verdict: Verdict
    reason: str
    metric: str
    higher_is_better: bool
    champion: float | None
    challenger: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    clusters: int
    draws: int
    confidence: float
    margin: float
    look: int | None


def confidence_at(look: int | None, confidence: float) -> float:
    """The confidence this look must reach; None means that it is the only one.

    Look k spends 6 / (pi k)^2 of the risk, which adds up to all of it over endless looks.

    Errors: ``improvement.bad_look``, ``training.bad_share``.
    """
    share("confidence", confidence)
    if look is None:
        return confidence
    if look < 1:
        raise Invalid(
            "improvement.bad_look",
            f"Look {look} does not exist.",
            hint="Number the looks 1, 2, 3 and so on.",
            look=look,
        )
    return 1.0 - (1.0 - confidence) * 6.0 / (math.pi * look) ** 2


def compare(
    labels: ArrayLike,
    clusters: ArrayLike | None,
    *,
    champion: Contender,
    challenger: Contender,
    rules: Rules,
) -> PairedComparison:
    """The verdict on the challenger. ``clusters`` names each row's day (None: rows are drawn).

    ``better``: the whole interval improves by more than the margin. ``worse``: it is surely
    worse than the champion (with a negative margin: by more than that). Else ``undecided``.

    Errors: ``training.length_mismatch`` and the others of ``training.vectors``.
    """
    confidence = confidence_at(rules.look, rules.confidence)
    values, statistics, rows, count = [], [], 0, 0
    for one in (champion, challenger):
        measure = _measure(rules, one)
        y, p = checked(measure, labels, one.predictions)
        index, count = cluster_index(clusters, y.size)
        values.append(metric(measure, y, p))
        statistics.append(statistic_of(measure, y, p, index, count))
        rows = int(y.size)
    old, new = values
    low, high, p_two_sided, defined = None, None, None, 0
    if old is not None and new is not None:
        drawn = resample(statistics, count, draws=rules.draws, seed=rules.seed)
        differences = drawn[:, 1] - drawn[:, 0]
        low, high, defined = interval(differences, count, confidence)
        p_two_sided = p_value(differences, count)
    verdict, reason = _verdict(rules, low, high)
    return PairedComparison(
        verdict=verdict,
        reason=reason,
        metric=rules.metric,
        higher_is_better=HIGHER_IS_BETTER[rules.metric],
        champion=old,
        challenger=new,
        difference=None if old is None or new is None else new - old,
        low=low,
        high=high,
        p=p_two_sided,
        n=rows,
        clusters=count,
        draws=defined,
        confidence=confidence,
        margin=rules.margin,
        look=rules.look,
    )


def _measure(rules: Rules, one: Contender) -> Measure:
    return Measure(name=rules.metric, task=rules.task, threshold=one.threshold, costs=rules.costs)


def _verdict(rules: Rules, low: float | None, high: float | None) -> tuple[Verdict, str]:
    """The verdict and its reason in one sentence."""
    if low is None or high is None:
        return "undecided", f"{rules.metric} has no interval on these rows."
    if not HIGHER_IS_BETTER[rules.metric]:
        low, high = -high, -low
    least, tolerated = rules.margin, min(rules.margin, 0.0)
    span = f"{rules.metric} improves by {low:.4g} to {high:.4g}"
    if low > least:
        return "better", f"{span}, surely more than {least:g}."
    if high < tolerated:
        return "worse", f"{span}, surely less than {tolerated:g}."
    return "undecided", f"{span}, which does not settle it."
