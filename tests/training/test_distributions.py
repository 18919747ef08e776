"""Our distributions agree with SciPy's, far into the tails."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from mainspring.training.distributions import (
    beta_regularised,
    binomial_at_least,
    chi_squared_at_least,
    gamma_upper,
    kolmogorov_at_least,
    student_below,
    student_quantile,
)

positive = st.floats(0.05, 5_000.0)


@settings(deadline=None)
@given(positive, positive, st.floats(0.0, 1.0))
def test_beta_agrees_with_scipy(a: float, b: float, x: float) -> None:
    """The regularised incomplete beta function is SciPy's to nine digits."""
    assert beta_regularised(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-8, abs=1e-12)


@settings(deadline=None)
@given(positive, st.floats(0.0, 10_000.0))
def test_gamma_agrees_with_scipy(a: float, x: float) -> None:
    """The upper incomplete gamma function is SciPy's to nine digits."""
    assert gamma_upper(a, x) == pytest.approx(special.gammaincc(a, x), rel=1e-7, abs=1e-12)


@settings(deadline=None)
@given(st.integers(1, 100_000), st.floats(0.0, 1.0), st.floats(0.0005, 0.9995))
def test_binomial_tail_agrees_with_scipy(trials: int, share: float, rate: float) -> None:
    """The exact binomial tail holds for windows of one row and of a hundred thousand."""
    successes = round(trials * share)
    expected = stats.binom.sf(successes - 1, trials, rate)
    assert binomial_at_least(successes, trials, rate) == pytest.approx(
        expected, rel=1e-6, abs=1e-12
    )


def test_binomial_tail_at_its_ends() -> None:
    """No success is certain; more successes than trials is impossible; rate 0 and 1 are defined."""
    assert binomial_at_least(0, 10, 0.0) == 1.0
    assert binomial_at_least(11, 10, 0.5) == 0.0
    assert binomial_at_least(1, 10, 0.0) == 0.0
    assert binomial_at_least(10, 10, 1.0) == 1.0


@settings(deadline=None)
@given(st.floats(-50.0, 50.0), st.integers(1, 5_000))
def test_student_agrees_with_scipy(t: float, freedom: int) -> None:
    """Student's distribution function is SciPy's."""
    assert student_below(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), rel=1e-7, abs=1e-12)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.integers(1, 5_000))
def test_student_quantile_agrees_with_scipy(probability: float, freedom: int) -> None:
    """Its quantile is the inverse."""
    expected = stats.t.ppf(probability, freedom)
    assert student_quantile(probability, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@settings(deadline=None)
@given(st.floats(0.0, 500.0), st.integers(1, 300))
def test_chi_squared_agrees_with_scipy(statistic: float, freedom: int) -> None:
    """The chi-squared tail is SciPy's."""
    expected = stats.chi2.sf(statistic, freedom)
    assert chi_squared_at_least(statistic, freedom) == pytest.approx(expected, rel=1e-7, abs=1e-12)


def test_chi_squared_without_freedom_is_no_evidence() -> None:
    """A table of one row cannot speak against anything."""
    assert chi_squared_at_least(3.0, 0) == 1.0


@settings(deadline=None)
@given(st.floats(0.0, 1.0), st.integers(50, 100_000), st.integers(50, 100_000))
def test_kolmogorov_is_close_to_scipy(distance: float, left: int, right: int) -> None:
    """From 50 rows a side the p-value is within 0.04 of SciPy's, and 1 at distance zero."""
    expected = stats.kstwo.sf(distance, round(left * right / (left + right)))
    assert kolmogorov_at_least(distance, left, right) == pytest.approx(expected, abs=0.04)
    assert kolmogorov_at_least(0.0, left, right) == 1.0
