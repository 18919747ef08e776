"""Curves and tables behind a report: ROC, precision and recall, gains, calibration, confusion.

Curves are thinned to at most 200 points, evenly along their course, both ends kept: a plot shows
no more, and a report of megabytes helps nobody.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from mainspring.core.errors import Invalid
from mainspring.training.vectors import Counts, Vector, binary, probabilities

MOST_POINTS: Final = 200


class Curve(Struct, frozen=True, kw_only=True):
    """Points of a plot; ``thresholds[i]`` leads to point i (None: no row is selected)."""

    x_name: str
    y_name: str
    x: list[float]
    y: list[float]
    thresholds: list[float | None]


class CalibrationBin(Struct, frozen=True):
    """Rows of similar score: mean prediction beside the observed share."""

    low: float
    high: float
    n: int
    predicted: float
    observed: float


class Confusion(Struct, frozen=True, kw_only=True):
    """The four counts at a threshold and the rates they give (None where undefined)."""

    threshold: float
    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    accuracy: float
    precision: float | None
    recall: float | None
    false_positive_rate: float | None
    f1: float | None
    selected_share: float


class Cuts(Struct, frozen=True):
    """Counts of selected rows at every distinct threshold, from none selected to all."""

    thresholds: Vector
    true_positive: Counts
    false_positive: Counts


def cuts(y: Vector, p: Vector) -> Cuts:
    """What "score >= threshold" selects, for each distinct score from the highest down.

    Entry 0 selects nothing; its threshold is the next number above the highest score.
    """
    order = np.argsort(-p, kind="stable")
    ranked = p[order]
    last = np.r_[np.flatnonzero(ranked[1:] != ranked[:-1]), ranked.size - 1]
    found = np.cumsum(y[order].astype(np.int64))[last]
    return Cuts(
        np.r_[np.nextafter(ranked[0], np.inf), ranked[last]],
        np.r_[0, found].astype(np.int64),
        np.r_[0, last + 1 - found].astype(np.int64),
    )


def thinned(x: Vector, y: Vector, most: int = MOST_POINTS) -> Counts:
    """Positions of at most ``most`` points spread evenly along the curve, ends included."""
    if x.size <= most:
        return np.arange(x.size, dtype=np.int64)
    reach_x, reach_y = float(np.ptp(x)) or 1.0, float(np.ptp(y)) or 1.0
    steps = np.abs(np.diff(x)) / reach_x + np.abs(np.diff(y)) / reach_y
    way = np.r_[0.0, np.cumsum(steps)]
    places = np.searchsorted(way, np.linspace(0.0, way[-1], most))
    places[0], places[-1] = 0, x.size - 1
    return np.unique(places).astype(np.int64)


def curve(names: tuple[str, str], x: Vector, y: Vector, thresholds: Vector) -> Curve:
    """The thinned curve of points whose first selects no row."""
    kept = thinned(x, y)
    levels: list[float | None] = [float(t) for t in thresholds[kept]]
    levels[0] = None
    return Curve(
        x_name=names[0], y_name=names[1], x=x[kept].tolist(), y=y[kept].tolist(), thresholds=levels
    )


def _two_classes(labels: ArrayLike, scores: ArrayLike) -> tuple[Cuts, int, int]:
    y, p = binary(labels, scores)
    positives = int(y.sum())
    if positives in {0, y.size}:
        raise Invalid(
            "training.one_class",
            "All labels are equal, so there is no curve to draw.",
            hint="Take a longer stretch or a larger group.",
            rows=int(y.size),
        )
    return cuts(y, p), positives, int(y.size) - positives


def roc(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """True positive rate over false positive rate. Errors: ``training.one_class``."""
    at, positives, negatives = _two_classes(labels, scores)
    names = ("false_positive_rate", "true_positive_rate")
    x, y = at.false_positive / negatives, at.true_positive / positives
    return curve(names, x, y, at.thresholds)


def precision_recall(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Precision over recall; where nothing is selected, precision is taken as 1."""
    at, positives, _ = _two_classes(labels, scores)
    selected = at.true_positive + at.false_positive
    precision = np.where(selected > 0, at.true_positive / np.maximum(selected, 1), 1.0)
    return curve(("recall", "precision"), at.true_positive / positives, precision, at.thresholds)


def gains(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Share of all positives found over share of rows selected, best scores first."""
    at, positives, negatives = _two_classes(labels, scores)
    selected = (at.true_positive + at.false_positive) / (positives + negatives)
    return curve(
        ("selected_share", "found_share"), selected, at.true_positive / positives, at.thresholds
    )


def calibration_bins(
    labels: ArrayLike, scores: ArrayLike, *, bins: int = 10
) -> list[CalibrationBin]:
    """Up to ``bins`` groups of equally many rows; equal scores are never torn apart."""
    y, p = binary(labels, scores)
    probabilities(p)
    order = np.argsort(p, kind="stable")
    y, p = y[order], p[order]
    starts = np.searchsorted(p, p[(np.arange(bins) * p.size) // bins], side="left")
    edges = np.r_[np.unique(starts), p.size]
    return [
        CalibrationBin(
            float(p[a]), float(p[b - 1]), b - a, float(p[a:b].mean()), float(y[a:b].mean())
        )
        for a, b in pairwise(edges.tolist())
    ]


def calibration_error(bins: list[CalibrationBin]) -> float:
    """Expected calibration error: the row-weighted mean gap between predicted and observed.

    Never quite 0 on finite data, even for a perfect model: about 0.8 * sqrt(p (1 - p) / n_bin).
    """
    rows = sum(one.n for one in bins)
    return sum(one.n * abs(one.predicted - one.observed) for one in bins) / rows


def confusion(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Confusion:
    """The confusion matrix of the decision "score >= threshold"."""
    y, p = binary(labels, scores)
    acted, positive = p >= threshold, y == 1.0
    hit, alarm = int(np.sum(acted & positive)), int(np.sum(acted & ~positive))
    miss, quiet = int(np.sum(~acted & positive)), int(np.sum(~acted & ~positive))
    return Confusion(
        threshold=float(threshold),
        true_positive=hit,
        false_positive=alarm,
        true_negative=quiet,
        false_negative=miss,
        accuracy=(hit + quiet) / y.size,
        precision=hit / (hit + alarm) if hit + alarm else None,
        recall=hit / (hit + miss) if hit + miss else None,
        false_positive_rate=alarm / (alarm + quiet) if alarm + quiet else None,
        f1=2 * hit / (2 * hit + alarm + miss) if hit + alarm + miss else None,
        selected_share=(hit + alarm) / y.size,
    )
