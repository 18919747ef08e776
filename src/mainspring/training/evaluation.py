"""A model judged on held-back rows: every metric with an interval, curves, and each slice."""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct, field, structs
from numpy.typing import ArrayLike

from mainspring.core.errors import Invalid
from mainspring.problem.types import Costs, MetricName, Task
from mainspring.training.bootstrap import bootstrap
from mainspring.training.curves import (
    CalibrationBin,
    Confusion,
    Curve,
    calibration_bins,
    calibration_error,
    confusion,
    gains,
    precision_recall,
    roc,
)
from mainspring.training.estimate import Estimate
from mainspring.training.metrics import Measure
from mainspring.training.vectors import Vector, group_names, paired, same_length

METRICS: Final[dict[Task, tuple[MetricName, ...]]] = {
    "binary": ("auc", "log_loss", "brier", "cost_per_1000"),
    "regression": ("mae", "rmse", "r2", "cost_per_1000"),
}


class Judging(Struct, frozen=True, kw_only=True):
    """How rows are judged: task, decision threshold, costs, and the bootstrap's settings."""

    task: Task = "binary"
    threshold: float = 0.5
    costs: Costs = field(default_factory=Costs)
    draws: int = 200
    seed: int = 0
    confidence: float = 0.95

    def measure(self, name: MetricName) -> Measure:
        """The named metric with this threshold and these costs."""
        return Measure(name=name, task=self.task, threshold=self.threshold, costs=self.costs)


class Evaluation(Struct, frozen=True, kw_only=True):
    """What one model scored on one set of rows.

    Curves, confusion and calibration are those of a binary task with both classes present, else
    None or empty.
    """

    n: int
    target_mean: float
    prediction_mean: float
    metrics: dict[str, Estimate]
    confusion: Confusion | None = None
    calibration: list[CalibrationBin] = []
    calibration_error: float | None = None
    curves: dict[str, Curve] = {}


class Slice(Struct, frozen=True, kw_only=True):
    """One group's metric. ``estimate`` is None when the group is smaller than asked."""

    group: str
    n: int
    target_mean: float
    estimate: Estimate | None


def evaluate(
    labels: ArrayLike,
    predictions: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    judging: Judging,
) -> Evaluation:
    """Every metric of the task with its interval, and for a binary task the report's curves.

    Scores outside 0 to 1 are welcome: then only the AUC and the cost are given.
    """
    y, p = paired(labels, predictions)
    names = METRICS[judging.task]
    is_probability = bool(np.all((p >= 0.0) & (p <= 1.0)))
    if judging.task == "binary" and not is_probability:
        names = ("auc", "cost_per_1000")
    plain = Evaluation(
        n=int(y.size),
        target_mean=float(y.mean()),
        prediction_mean=float(p.mean()),
        metrics={name: _estimate(name, y, p, clusters, judging) for name in names},
    )
    if judging.task != "binary":
        return plain
    bins = calibration_bins(y, p) if is_probability else []
    both = 0.0 < plain.target_mean < 1.0
    return structs.replace(
        plain,
        confusion=confusion(y, p, judging.threshold),
        calibration=bins,
        calibration_error=calibration_error(bins) if bins else None,
        curves={one.__name__: one(y, p) for one in (roc, precision_recall, gains)} if both else {},
    )


def slices(
    name: MetricName,
    labels: ArrayLike,
    predictions: ArrayLike,
    groups: ArrayLike,
    *,
    judging: Judging,
    clusters: ArrayLike | None = None,
    min_rows: int = 100,
    most_groups: int = 1000,
) -> list[Slice]:
    """The metric of each group, largest group first; a missing group is named ``(missing)``.

    Errors: ``training.too_many_groups``: a key is not a group.
    """
    y, p = paired(labels, predictions)
    named = group_names(groups)
    same_length("groups", named.size, y.size)
    unique, index = np.unique(named, return_inverse=True)
    if unique.size > most_groups:
        raise Invalid(
            "training.too_many_groups",
            f"There are {unique.size} groups, more than {most_groups}.",
            hint="Slice by a column with fewer values.",
            groups=int(unique.size),
        )
    ids = np.arange(y.size) if clusters is None else np.asarray(clusters)
    found = []
    for place, group in enumerate(unique.tolist()):
        rows = np.flatnonzero(index == place)
        enough = rows.size >= min_rows
        one = _estimate(name, y[rows], p[rows], ids[rows], judging) if enough else None
        mean = float(y[rows].mean())
        found.append(Slice(group=group, n=int(rows.size), target_mean=mean, estimate=one))
    return sorted(found, key=lambda one: (-one.n, one.group))


def _estimate(
    name: MetricName, y: Vector, p: Vector, clusters: ArrayLike | None, judging: Judging
) -> Estimate:
    return bootstrap(
        judging.measure(name),
        y,
        p,
        clusters,
        draws=judging.draws,
        seed=judging.seed,
        confidence=judging.confidence,
    )
