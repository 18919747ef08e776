"""How well a model does in production: realised where labels have come, estimated before.

A realised value always tells how many rows it rests on. Labels that come early may be the easy
ones (short trips end first), so a value is ``final`` only once enough of them are there.

Source of the estimate: the idea of NannyML's CBPE: a calibrated score says how often it will be
right, so the expected metric follows from the scores alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from mainspring.core.errors import Invalid
from mainspring.training.bootstrap import bootstrap, interval
from mainspring.training.estimate import Estimate
from mainspring.training.metrics import Measure, row_losses
from mainspring.training.vectors import Flags, Vector, probabilities, same_length, vector

ASSUMPTION: Final = (
    "Assumes that the scores are still calibrated: what a score of 0.3 meant when the model was "
    "calibrated, it means now. It sees a shift of the inputs, not of their meaning (concept "
    "drift), and is replaced by the realised value when labels come."
)


class WindowPerformance(Struct, frozen=True, kw_only=True):
    """The metric of a window's labelled rows.

    ``coverage``: share of all rows that have a label. ``maturity``: share whose label is due by
    now (None when not told). ``final``: coverage has reached what was asked, and all are due.
    ``estimate`` is None without any label.
    """

    metric: str
    n: int
    labelled: int
    coverage: float
    maturity: float | None
    final: bool
    target_mean: float | None
    prediction_mean: float | None
    estimate: Estimate | None


class EstimatedPerformance(Struct, frozen=True, kw_only=True):
    """The metric to be expected of a window before its labels come.

    ``low`` to ``high`` is where the realised value would fall in that share of windows if the
    assumption holds. None where the metric will be undefined.
    """

    metric: str
    n: int
    value: float | None
    low: float | None
    high: float | None
    draws: int
    confidence: float
    assumption: str = ASSUMPTION


def realised(
    measure: Measure,
    labels: ArrayLike,
    predictions: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    due: ArrayLike | None = None,
    min_coverage: float = 0.8,
    draws: int = 200,
    seed: int = 0,
    confidence: float = 0.95,
) -> WindowPerformance:
    """The window's metric with its interval. A label of NaN (or None) has not come yet.

    ``due`` tells per row whether its label should have come by now.
    """
    y = np.asarray(labels, dtype=np.float64)
    p = vector("predictions", predictions)
    same_length("labels", y.size, p.size)
    ids = np.arange(p.size) if clusters is None else np.asarray(clusters)
    same_length("cluster ids", ids.size, p.size)
    come = ~np.isnan(y)
    labelled = int(np.count_nonzero(come))
    maturity = None if due is None else _mean(np.asarray(due, dtype=np.float64), p.size)
    coverage = labelled / p.size
    estimate = None
    if labelled:
        estimate = bootstrap(
            measure, y[come], p[come], ids[come], draws=draws, seed=seed, confidence=confidence
        )
    return WindowPerformance(
        metric=measure.name,
        n=int(p.size),
        labelled=labelled,
        coverage=coverage,
        maturity=maturity,
        final=coverage >= min_coverage and maturity in {None, 1.0},
        target_mean=float(y[come].mean()) if labelled else None,
        prediction_mean=float(p[come].mean()) if labelled else None,
        estimate=estimate,
    )


def estimated(
    measure: Measure,
    calibrated: ArrayLike,
    *,
    draws: int = 200,
    seed: int = 0,
    confidence: float = 0.95,
) -> EstimatedPerformance:
    """What a binary metric will be, from calibrated probabilities alone (see ``ASSUMPTION``).

    Errors: ``training.not_probability``; ``monitoring.no_estimate`` for a regression.
    """
    if measure.task != "binary" or measure.name in {"mae", "rmse", "r2"}:
        raise Invalid(
            "monitoring.no_estimate",
            f"'{measure.name}' of a {measure.task} task cannot be estimated without labels.",
            hint="Watch the drift of its predictions until labels come.",
            metric=measure.name,
        )
    p = probabilities(vector("probabilities", calibrated))
    generator = np.random.Generator(np.random.PCG64(seed))
    worlds = (generator.random(p.size) < p for _ in range(draws))
    if measure.name == "auc":
        ranks, value = _middle_ranks(p), expected_auc(p)
        values = np.array([_rank_auc(ranks, world) for world in worlds])
    else:
        right, wrong = (row_losses(measure, np.full_like(p, label), p) for label in (1.0, 0.0))
        scale = 1000.0 if measure.name == "cost_per_1000" else 1.0
        value = scale * float((p * right + (1.0 - p) * wrong).mean())
        values = np.array([scale * np.where(world, right, wrong).mean() for world in worlds])
    # Rows are independent here (the labels are simulated), so rows are the clusters.
    low, high, defined = interval(values, p.size, confidence)
    return EstimatedPerformance(
        metric=measure.name,
        n=int(p.size),
        value=value,
        low=low,
        high=high,
        draws=defined,
        confidence=confidence,
    )


def expected_auc(p: Vector) -> float | None:
    """Expected ordered pairs over expected pairs of a positive and a negative row.

    A row makes no pair with itself. None when no pair can be expected.
    """
    ranked = np.sort(p)
    starts = np.r_[0, np.flatnonzero(ranked[1:] != ranked[:-1]) + 1]
    positive = np.add.reduceat(ranked, starts)
    negative = np.add.reduceat(1.0 - ranked, starts)
    below = np.cumsum(negative) - negative
    itself = float((ranked * (1.0 - ranked)).sum())
    pairs = float(positive.sum()) * float(negative.sum()) - itself
    if pairs <= 1e-12 * p.size:  # noqa: PLR2004  # rounding
        return None
    return (float((positive * (below + 0.5 * negative)).sum()) - 0.5 * itself) / pairs


def _middle_ranks(p: Vector) -> Vector:
    """Ranks from 1, equal values sharing their mean."""
    ranked = np.sort(p)
    first = np.searchsorted(ranked, p, side="left")
    last = np.searchsorted(ranked, p, side="right")
    return np.asarray(0.5 * (first + last + 1))


def _rank_auc(ranks: Vector, positive: Flags) -> float:
    """The AUC as Mann and Whitney's U over all pairs; NaN for one class."""
    p = int(np.count_nonzero(positive))
    pairs = p * (ranks.size - p)
    return (float(ranks[positive].sum()) - p * (p + 1) / 2) / pairs if pairs else float("nan")


def _mean(due: Vector, rows: int) -> float:
    same_length("due marks", due.size, rows)
    return float(due.mean())
