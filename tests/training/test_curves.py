"""Curves and tables agree with scikit-learn and stay small."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from mainspring.core.errors import Invalid
from mainspring.training.curves import (
    MOST_POINTS,
    calibration_bins,
    calibration_error,
    confusion,
    gains,
    precision_recall,
    roc,
)
from mainspring.training.metrics import auc


def sample(n: int, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and honest probabilities, with ties for few decimals."""
    random = np.random.default_rng(n)
    p = np.round(random.beta(2, 5, n), decimals)
    return (random.random(n) < p).astype(float), p


@settings(deadline=None)
@given(st.integers(20, 150), st.integers(1, 3))
def test_the_roc_curve_is_scikit_learns(n: int, decimals: int) -> None:
    """Point by point, the first (nothing selected) included."""
    y, p = sample(n, decimals)
    y[:2] = 0, 1
    ours = roc(y, p)
    x, up, thresholds = peer.roc_curve(y, p, drop_intermediate=False)
    assert ours.x == pytest.approx(x.tolist())
    assert ours.y == pytest.approx(up.tolist())
    assert ours.thresholds[0] is None
    assert ours.thresholds[1:] == thresholds[1:].tolist()


def test_precision_and_recall_are_scikit_learns() -> None:
    """Every threshold scikit-learn lists has our precision and recall."""
    y, p = sample(150, 2)
    ours = precision_recall(y, p)
    precision, recall, thresholds = peer.precision_recall_curve(y, p)
    theirs = {t: (r, q) for t, r, q in zip(thresholds, recall[:-1], precision[:-1], strict=True)}
    for x, up, t in zip(ours.x[1:], ours.y[1:], ours.thresholds[1:], strict=True):
        assert theirs[t] == pytest.approx((x, up))


@pytest.mark.parametrize("one", [roc, precision_recall, gains])
def test_a_large_curve_is_thinned_to_its_shape(one: object) -> None:
    """50,000 distinct scores give at most 200 points, both ends kept; the area survives."""
    y, p = sample(50_000, 12)
    thin = one(y, p)  # type: ignore[operator]
    assert len(thin.x) == len(thin.y) == len(thin.thresholds) <= MOST_POINTS
    assert (thin.x[0], thin.x[-1], thin.y[-1] > 0) == (0.0, 1.0, True)
    if one is roc:
        assert np.trapezoid(thin.y, thin.x) == pytest.approx(auc(y, p), abs=1e-3)


def test_one_class_has_no_curve() -> None:
    """A typed error instead of a curve of NaN."""
    with pytest.raises(Invalid) as caught:
        roc([1, 1], [0.2, 0.3])
    assert caught.value.code == "training.one_class"


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 3), st.integers(1, 20))
def test_bins_hold_every_row_once_and_tear_no_tie(n: int, decimals: int, bins: int) -> None:
    """Counts add up, at most as many bins as asked, and neighbouring bins share no score."""
    y, p = sample(n, decimals)
    found = calibration_bins(y, p, bins=bins)
    assert sum(one.n for one in found) == n
    assert len(found) <= bins
    assert all(left.high < right.low for left, right in pairwise(found))
    assert sum(one.n * one.observed for one in found) == pytest.approx(y.sum())


def test_the_calibration_error_tells_honest_from_overconfident() -> None:
    """Honest scores err below 1 %; doubled log odds err by several."""
    y, p = sample(50_000, 12)
    sharp = p**2 / (p**2 + (1 - p) ** 2)
    assert calibration_error(calibration_bins(y, p)) < 0.01
    assert calibration_error(calibration_bins(y, sharp)) > 0.05


def test_confusion_by_hand() -> None:
    """Two hits, one false alarm, one miss, one quiet; the threshold itself selects."""
    one = confusion([1, 1, 0, 1, 0], [0.9, 0.5, 0.7, 0.1, 0.2], 0.5)
    counts = (one.true_positive, one.false_positive, one.false_negative, one.true_negative)
    assert counts == (2, 1, 1, 1)
    assert (one.precision, one.recall, one.false_positive_rate) == (2 / 3, 2 / 3, 0.5)
    assert (one.accuracy, one.f1, one.selected_share) == (0.6, 2 / 3, 0.6)


def test_undefined_rates_are_none() -> None:
    """Nothing selected, nothing positive: no precision, no recall."""
    one = confusion([0, 0], [0.1, 0.2], 0.5)
    assert (one.precision, one.recall, one.f1, one.false_positive_rate) == (None, None, None, 0.0)
