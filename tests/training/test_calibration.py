"""Calibrations are monotone, agree with scikit-learn and survive JSON."""

from __future__ import annotations

from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from mainspring.core.errors import Invalid
from mainspring.training.calibration import Calibration, Method, Sigmoid, calibrate
from mainspring.training.curves import calibration_bins, calibration_error

METHODS = get_args(Method)


def sample(seed: int, n: int, decimals: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores whose log odds are twice too large."""
    random = np.random.default_rng(seed)
    truth = random.beta(2, 3, n)
    y = (random.random(n) < truth).astype(float)
    y[:2] = 0, 1
    return y, np.round(truth**2 / (truth**2 + (1 - truth) ** 2), decimals)


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 80), st.integers(1, 4))
def test_calibrated_scores_keep_their_order(
    method: Method, seed: int, n: int, decimals: int
) -> None:
    """Monotone everywhere, ties stay ties, and every output is a probability."""
    y, p = sample(seed, n, decimals)
    new = np.linspace(0, 1, 301)
    found = calibrate(method, y, p).apply(new)
    assert (np.diff(found) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 80), st.integers(1, 4))
def test_the_isotonic_fit_is_scikit_learns(seed: int, n: int, decimals: int) -> None:
    """The same fitted values and the same interpolation between and beyond them."""
    y, p = sample(seed, n, decimals)
    peer = IsotonicRegression(out_of_bounds="clip").fit(p, y)
    new = np.concatenate([p, np.linspace(0, 1, 50)])
    assert calibrate("isotonic", y, p).apply(new) == pytest.approx(peer.predict(new), abs=1e-6)


def test_the_sigmoid_is_the_likeliest() -> None:
    """On 20,000 rows it is an unpenalised logistic regression on the log odds."""
    y, p = sample(1, 20_000)
    odds = np.log(p / (1 - p))[:, None]
    peer = LogisticRegression(C=np.inf, tol=1e-10).fit(odds, y)
    ours = calibrate("sigmoid", y, p)
    assert isinstance(ours, Sigmoid)
    assert ours.slope == pytest.approx(peer.coef_[0, 0], rel=1e-3)
    assert ours.slope == pytest.approx(0.5, abs=0.03)
    assert ours.intercept == pytest.approx(peer.intercept_[0], abs=1e-3)


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
def test_calibration_helps_on_new_rows(method: Method) -> None:
    """Overconfident scores err by several percent before and below 2 % after."""
    fitted = calibrate(method, *sample(1, 20_000))
    y, p = sample(2, 20_000)
    assert calibration_error(calibration_bins(y, p)) > 0.05
    assert calibration_error(calibration_bins(y, fitted.apply(p))) < 0.02


@pytest.mark.parametrize("method", METHODS)
def test_a_calibration_is_plain_json(method: Method) -> None:
    """Written, read back by its tag, and equal to the last bit."""
    y, p = sample(4, 500)
    fitted = calibrate(method, y, p)
    read = msgspec.json.decode(msgspec.json.encode(fitted), type=Calibration)
    assert read == fitted
    assert read.apply(p).tobytes() == fitted.apply(p).tobytes()


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
def test_a_model_the_wrong_way_round_becomes_flat(method: Method) -> None:
    """No increasing map can help it; it gets the base rate, not a reversal."""
    y, p = sample(5, 5_000)
    found = calibrate(method, y, 1 - p).apply(np.linspace(0.05, 0.95, 9))
    assert np.ptp(found) < 0.2
    assert found.mean() == pytest.approx(y.mean(), abs=0.05)


def test_separable_and_constant_scores_stay_finite() -> None:
    """Perfect separation and one single score both give finite numbers."""
    split = calibrate("sigmoid", [0, 0, 1, 1], [0.0, 0.1, 0.9, 1.0])
    assert np.isfinite(split.apply([0.0, 0.5, 1.0])).all()
    flat = calibrate("sigmoid", [0, 1, 1], [0.4, 0.4, 0.4])
    assert flat.apply([0.1])[0] == pytest.approx(0.6)
    assert calibrate("isotonic", [0, 1, 1], [0.4] * 3).apply([0.1])[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
def test_one_class_cannot_calibrate(method: Method) -> None:
    """A typed error, not a certainty."""
    with pytest.raises(Invalid) as caught:
        calibrate(method, [1, 1], [0.2, 0.3])
    assert caught.value.code == "training.one_class"
