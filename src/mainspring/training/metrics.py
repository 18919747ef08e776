"""The metrics of a model as one number each, exact with ties, and as sums that can be resampled.

Every metric but the AUC is a function of sums over rows. ``row_terms`` gives the summands and
``from_totals`` the metric, so that a bootstrap adds up clusters instead of visiting rows.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct, field
from numpy.typing import ArrayLike

from mainspring.core.errors import Invalid
from mainspring.problem.types import HIGHER_IS_BETTER, Costs, MetricName, Task
from mainspring.training.vectors import Counts, Vector, binary, paired, probabilities

_BINARY_ONLY = frozenset({"auc", "log_loss", "brier"})
_FLAT = 1e-12  # a variance below this share of the raw square sum is rounding


class Measure(Struct, frozen=True, kw_only=True):
    """One metric with all that its value depends on besides the rows.

    ``threshold`` and ``costs`` matter to ``cost_per_1000`` alone; a score at or above the
    threshold is a positive decision.
    """

    name: MetricName
    task: Task = "binary"
    threshold: float = 0.5
    costs: Costs = field(default_factory=Costs)

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is the better model."""
        return HIGHER_IS_BETTER[self.name]


class Ranking:
    """Scores sorted once, so that the AUC of any integer weighting costs one pass.

    For each positive row, ``below`` and ``until`` say how many of the negatives, in order of
    score, lie below it and until the end of its tie. Integers keep it exact up to 1e9 rows.

    Source: Hanley and McNeil (1982): the AUC is the share of (positive, negative) pairs in the
    right order, a tie counting one half.
    """

    __slots__ = ("below", "negatives", "positives", "until")

    def __init__(self, labels: Vector, scores: Vector) -> None:
        self.positives = np.flatnonzero(labels == 1.0)
        negatives = np.flatnonzero(labels != 1.0)
        self.negatives = negatives[np.argsort(scores[negatives], kind="stable")]
        ranked, sought = scores[self.negatives], scores[self.positives]
        self.below = np.searchsorted(ranked, sought, side="left")
        self.until = np.searchsorted(ranked, sought, side="right")

    def auc(self, positive: Counts, negative: Counts) -> float:
        """The AUC with rows counted so often, or NaN. Shapes: as ``positives``, ``negatives``."""
        before = np.zeros(negative.size + 1, dtype=np.int64)
        np.cumsum(negative, out=before[1:])
        pairs = int(positive.sum()) * int(before[-1])
        if pairs == 0:
            return float("nan")
        twice_in_order = int((positive * (before[self.below] + before[self.until])).sum())
        return twice_in_order / (2 * pairs)


def checked(measure: Measure, labels: ArrayLike, predictions: ArrayLike) -> tuple[Vector, Vector]:
    """Labels and predictions that this measure can be computed from.

    Errors: those of ``training.vectors``; ``training.wrong_task`` for a metric of the other task.
    """
    if measure.name in _BINARY_ONLY and measure.task != "binary":
        raise Invalid(
            "training.wrong_task",
            f"'{measure.name}' is a metric of a binary task.",
            hint="Use 'mae', 'rmse', 'r2' or 'cost_per_1000'.",
            metric=measure.name,
        )
    if measure.task == "regression":
        return paired(labels, predictions)
    y, p = binary(labels, predictions)
    if measure.name in {"log_loss", "brier"}:
        probabilities(p)
    return y, p


def row_losses(measure: Measure, y: Vector, p: Vector) -> Vector:
    """What each row adds to the mean behind the metric (squares for rmse and r2)."""
    if measure.name == "log_loss":
        tiny = float(np.finfo(np.float64).eps)
        right = np.clip(np.where(y == 1.0, p, 1.0 - p), tiny, 1.0)
        return np.asarray(-np.log(right), dtype=np.float64)
    if measure.name in {"brier", "rmse", "r2"}:
        return np.square(y - p)
    if measure.name == "mae":
        return np.abs(y - p)
    return row_costs(measure, y, p)


def row_costs(measure: Measure, y: Vector, p: Vector) -> Vector:
    """The declared cost of each row's outcome."""
    costs = measure.costs
    if measure.task == "regression":
        gap = y - p
        return np.where(gap > 0.0, costs.under * gap, -costs.over * gap)
    acted = p >= measure.threshold
    on_positive = np.where(acted, costs.true_positive, costs.false_negative)
    on_negative = np.where(acted, costs.false_positive, costs.true_negative)
    return np.where(y == 1.0, on_positive, on_negative)


def row_terms(measure: Measure, y: Vector, p: Vector) -> Vector:
    """The summands of the metric. Shapes: (2, rows), or (4, rows) for r2."""
    losses, ones = row_losses(measure, y, p), np.ones_like(y)
    if measure.name != "r2":
        return np.stack([losses, ones])
    centred = y - y.mean()  # centring keeps the variance from cancelling
    return np.stack([losses, ones, centred, np.square(centred)])


def from_totals(measure: Measure, totals: Vector) -> Vector:
    """The metric from weighted sums of ``row_terms``; NaN where it is undefined.

    Shapes: (2 or 4, ...) -> (...).
    """
    losses, rows = totals[0], totals[1]
    mean: Vector = losses / np.where(rows > 0.0, rows, np.nan)
    if measure.name == "rmse":
        return np.asarray(np.sqrt(mean))
    if measure.name == "cost_per_1000":
        mean = 1000.0 * mean
    if measure.name != "r2":
        return mean
    spread = totals[3] - np.square(totals[2]) / np.where(rows > 0.0, rows, np.nan)
    varied = spread > _FLAT * np.abs(totals[3])
    return np.asarray(1.0 - losses / np.where(varied, spread, np.nan))


def metric(measure: Measure, labels: ArrayLike, predictions: ArrayLike) -> float | None:
    """The metric's value, or None where it has none (AUC of one class, r2 of a constant)."""
    y, p = checked(measure, labels, predictions)
    if measure.name == "auc":
        ranking, once = Ranking(y, p), np.ones(y.size, dtype=np.int64)
        value = ranking.auc(once[ranking.positives], once[ranking.negatives])
    elif measure.name == "r2" and float(y.min()) == float(y.max()):
        return None
    else:
        value = float(from_totals(measure, row_terms(measure, y, p).sum(axis=1)))
    return None if np.isnan(value) else value


def auc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Share of (positive, negative) pairs ranked rightly, a tie as one half; None for one class."""
    return metric(Measure(name="auc"), labels, scores)


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> float | None:
    """Mean negative log likelihood, in nats."""
    return metric(Measure(name="log_loss"), labels, probabilities)


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float | None:
    """Mean squared error of the probabilities."""
    return metric(Measure(name="brier"), labels, probabilities)
