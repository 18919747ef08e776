"""Scores turned into probabilities by a monotone map, kept as plain JSON.

Fit it on rows that are newer than the training rows: a calibration fitted on a random hold-out
inherits its leak and promises too much.

Source: Ayer et al. (1955) for pool adjacent violators; Platt (1999) with the safeguards of Lin,
Lin and Weng (2007), A note on Platt's probabilistic outputs, for the sigmoid.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from mainspring.core.errors import Invalid
from mainspring.training.vectors import Counts, Vector, binary, probabilities, vector

Method = Literal["none", "isotonic", "sigmoid"]
_EDGE: Final = 1e-12
_STEPS: Final = 100


class Identity(Struct, frozen=True, tag_field="method", tag="none"):
    """The scores as they are."""

    def apply(self, scores: ArrayLike) -> Vector:
        """The scores."""
        return vector("scores", scores)


class Isotonic(Struct, frozen=True, tag_field="method", tag="isotonic"):
    """The monotone step function nearest to the labels, joined by straight lines.

    Scores that the data cannot tell apart get one probability; no pair is ever turned round.
    """

    x: list[float]
    y: list[float]
    n: int

    def apply(self, scores: ArrayLike) -> Vector:
        """Probabilities; scores beyond the fitted range get the outermost value."""
        return np.interp(vector("scores", scores), self.x, self.y)


class Sigmoid(Struct, frozen=True, tag_field="method", tag="sigmoid"):
    """1 / (1 + exp(-(slope * log odds of the score + intercept))), slope at least 0.

    Working on the log odds makes slope 1, intercept 0 the identity. Two numbers suit few rows.
    """

    slope: float
    intercept: float
    n: int

    def apply(self, scores: ArrayLike) -> Vector:
        """Probabilities in the order of the scores."""
        odds = _log_odds(probabilities(vector("scores", scores)))
        return _logistic(self.slope * odds + self.intercept)


Calibration = Identity | Isotonic | Sigmoid
"""Read it back with ``msgspec.json.decode(data, type=Calibration)``."""


def calibrate(method: Method, labels: ArrayLike, scores: ArrayLike) -> Calibration:
    """The calibration of that method, fitted on the labels and the model's scores.

    Errors: those of ``training.vectors``; ``training.one_class`` when all labels are equal.
    """
    if method == "none":
        return Identity()
    y, p = binary(labels, scores)
    if float(y.min()) == float(y.max()):
        raise Invalid(
            "training.one_class",
            "All labels are equal, so there is nothing to calibrate by.",
            hint="Take a longer validation stretch.",
            rows=int(y.size),
        )
    return isotonic(y, p) if method == "isotonic" else sigmoid(y, probabilities(p))


def isotonic(y: Vector, p: Vector) -> Isotonic:
    """The least-squares monotone fit; equal scores are one point."""
    unique, index = np.unique(p, return_inverse=True)
    weight = np.bincount(index).astype(np.float64)
    starts, values = _pool(np.bincount(index, weights=y).astype(np.float64), weight)
    ends = np.append(starts[1:], unique.size) - 1
    x = np.stack([unique[starts], unique[ends]], axis=1).ravel()
    levels = np.repeat(values, 2)
    kept = np.r_[True, (x[1:] != x[:-1]) | (levels[1:] != levels[:-1])]
    return Isotonic(x[kept].tolist(), levels[kept].tolist(), int(y.size))


def _pool(total_of: Vector, weight: Vector) -> tuple[Counts, Vector]:
    """Blocks of equal fitted value: where each starts, and its value."""
    starts: list[int] = []
    sums: list[float] = []
    weights: list[float] = []
    for place, (total, heavy) in enumerate(zip(total_of.tolist(), weight.tolist(), strict=True)):
        start = place
        while sums and sums[-1] * heavy >= total * weights[-1]:
            start = starts.pop()
            total += sums.pop()  # noqa: PLW2901  # the block grows leftwards
            heavy += weights.pop()  # noqa: PLW2901
        starts.append(start)
        sums.append(total)
        weights.append(heavy)
    return np.array(starts, dtype=np.int64), np.array(sums) / np.array(weights)


def sigmoid(y: Vector, p: Vector) -> Sigmoid:
    """The two numbers of greatest likelihood, by Newton's method with halved steps.

    The labels are drawn a little inwards (Platt's prior), so separable rows stay finite.
    """
    positives = float(y.sum())
    negatives = y.size - positives
    target = np.where(y == 1.0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    odds = _log_odds(p)
    base = float(np.log((positives + 1) / (negatives + 1)))
    if float(odds.min()) == float(odds.max()):
        return Sigmoid(0.0, base, int(y.size))
    slope, intercept = _newton(odds, target, base)
    if slope < 0.0:  # the model ranks the wrong way round; an increasing map can only be flat
        slope, intercept = 0.0, base
    return Sigmoid(slope, intercept, int(y.size))


def _newton(odds: Vector, target: Vector, base: float) -> tuple[float, float]:
    slope, intercept = 0.0, base
    loss = _loss(odds, target, slope, intercept)
    for _ in range(_STEPS):
        fitted = _logistic(slope * odds + intercept)
        gap, weight = fitted - target, fitted * (1.0 - fitted) + _EDGE
        g_slope, g_intercept = float((gap * odds).sum()), float(gap.sum())
        h_ss, h_si = float((weight * odds * odds).sum()), float((weight * odds).sum())
        h_ii = float(weight.sum())
        det = h_ss * h_ii - h_si * h_si
        if max(abs(g_slope), abs(g_intercept)) < 1e-10 * odds.size or det <= 0.0:  # noqa: PLR2004
            break
        step_slope = (h_ii * g_slope - h_si * g_intercept) / det
        step_intercept = (h_ss * g_intercept - h_si * g_slope) / det
        size = 1.0
        while size > 1e-10:  # noqa: PLR2004
            trial = (slope - size * step_slope, intercept - size * step_intercept)
            after = _loss(odds, target, *trial)
            if after < loss:
                break
            size *= 0.5
        else:
            break
        (slope, intercept), loss = trial, after
    return slope, intercept


def _loss(odds: Vector, target: Vector, slope: float, intercept: float) -> float:
    z = slope * odds + intercept
    return float((np.logaddexp(0.0, z) - target * z).sum())


def _log_odds(p: Vector) -> Vector:
    inside = np.clip(p, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _logistic(z: Vector) -> Vector:
    """Without overflow at either end."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0, small) / (1.0 + small)
