"""The threshold from which acting is cheaper than not acting, by the declared costs.

Source: Elkan (2001), The Foundations of Cost-Sensitive Learning, section 2.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from mainspring.core.errors import Invalid
from mainspring.problem.types import Costs
from mainspring.training.curves import Curve, curve, cuts
from mainspring.training.metrics import Measure, row_costs
from mainspring.training.vectors import Vector, binary


class Decision(Struct, frozen=True, kw_only=True):
    """Act when the score is at or above ``threshold``; what that cost on the rows it was set on.

    ``cost_per_1000_never`` and ``_always`` are what acting on no row, and on every row, costs.
    """

    threshold: float
    method: Literal["theoretical", "empirical"]
    n: int
    selected_share: float
    cost_per_1000: float
    cost_per_1000_never: float
    cost_per_1000_always: float


def theoretical_threshold(costs: Costs) -> float:
    """The probability from which acting is cheaper, if the scores are true probabilities.

    Acting costs ``FP`` on a negative and ``TP`` on a positive, holding still ``TN`` and ``FN``;
    they balance at (FP - TN) / (FP - TN + FN - TP).

    Errors: ``training.costs_indifferent`` when acting, or holding still, never pays.
    """
    alarm = costs.false_positive - costs.true_negative
    miss = costs.false_negative - costs.true_positive
    if alarm < 0.0 or miss < 0.0 or alarm + miss == 0.0:
        raise Invalid(
            "training.costs_indifferent",
            "By these costs a wrong decision is no dearer than a right one.",
            hint="Check the signs: a gain is a negative cost.",
            false_positive=costs.false_positive,
            false_negative=costs.false_negative,
            true_positive=costs.true_positive,
            true_negative=costs.true_negative,
        )
    return alarm / (alarm + miss)


def by_probability(labels: ArrayLike, scores: ArrayLike, costs: Costs) -> Decision:
    """The theoretical threshold, with what it cost on these rows. For calibrated scores."""
    threshold = theoretical_threshold(costs)
    y, p = binary(labels, scores)
    measure = Measure(name="cost_per_1000", threshold=threshold, costs=costs)
    cost = 1000.0 * float(row_costs(measure, y, p).mean())
    selected = float((p >= threshold).mean())
    return _decision("theoretical", threshold, y, selected=selected, cost=cost, costs=costs)


def by_cost(
    labels: ArrayLike, scores: ArrayLike, costs: Costs, *, most_selected: float = 1.0
) -> Decision:
    """The threshold that was cheapest on these rows; ties go to fewer actions.

    ``most_selected`` is the largest share of rows that can be acted on. The cost found is a
    little too good for new rows, since the threshold was chosen on the same ones; judge it on
    the test rows.
    """
    y, p = binary(labels, scores)
    thresholds, cost, selected = _every_cut(y, p, costs)
    allowed = np.where(selected <= most_selected, cost, np.inf)
    best = int(np.argmin(allowed))
    return _decision(
        "empirical",
        float(thresholds[best]),
        y,
        selected=float(selected[best]),
        cost=float(cost[best]),
        costs=costs,
    )


def cost_curve(labels: ArrayLike, scores: ArrayLike, costs: Costs) -> Curve:
    """Cost per 1000 rows over the share of rows acted on, at most 200 points."""
    y, p = binary(labels, scores)
    thresholds, cost, selected = _every_cut(y, p, costs)
    return curve(("selected_share", "cost_per_1000"), selected, cost, thresholds)


def _every_cut(y: Vector, p: Vector, costs: Costs) -> tuple[Vector, Vector, Vector]:
    """Threshold, cost per 1000 rows and selected share, from nothing selected to everything."""
    at, positives = cuts(y, p), float(y.sum())
    hit, alarm = at.true_positive, at.false_positive
    total = (
        costs.true_positive * hit
        + costs.false_positive * alarm
        + costs.false_negative * (positives - hit)
        + costs.true_negative * (y.size - positives - alarm)
    )
    return at.thresholds, 1000.0 * total / y.size, (hit + alarm) / y.size


def _decision(
    method: Literal["theoretical", "empirical"],
    threshold: float,
    y: Vector,
    *,
    selected: float,
    cost: float,
    costs: Costs,
) -> Decision:
    rate = float(y.mean())
    return Decision(
        threshold=threshold,
        method=method,
        n=int(y.size),
        selected_share=selected,
        cost_per_1000=cost,
        cost_per_1000_never=1000.0
        * (rate * costs.false_negative + (1 - rate) * costs.true_negative),
        cost_per_1000_always=1000.0
        * (rate * costs.true_positive + (1 - rate) * costs.false_positive),
    )
