"""The few probability distributions that honest comparisons need, without a statistics library.

Source: NIST Digital Library of Mathematical Functions (dlmf.nist.gov), sections named below;
modified Lentz evaluation of continued fractions after Press et al., Numerical Recipes, 5.2.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Final

NORMAL: Final = NormalDist()
_TINY: Final = 1e-300
_EPSILON: Final = 1e-15
_MOST_STEPS: Final = 100_000


def beta_regularised(a: float, b: float, x: float) -> float:
    """I_x(a, b), the distribution function of a Beta(a, b) variable. Source: DLMF 8.17.22."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast only on this side
        return 1.0 - beta_regularised(b, a, 1.0 - x)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return min(1.0, math.exp(log_front) * _beta_fraction(a, b, x) / a)


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    result = d
    for m in range(1, _MOST_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1.0 + term * d
            c = 1.0 + term / c
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = c if abs(c) > _TINY else _TINY
            step = c * d
            result *= step
        if abs(step - 1.0) < _EPSILON:
            break
    return result


def gamma_upper(a: float, x: float) -> float:
    """Q(a, x), the upper tail of a Gamma(a) variable. Source: DLMF 8.7.1 and 8.9.2."""
    if x <= 0.0:
        return 1.0
    log_front = a * math.log(x) - x - math.lgamma(a)
    if x < a + 1.0:
        term = total = 1.0 / a
        for n in range(1, _MOST_STEPS):
            term *= x / (a + n)
            total += term
            if term < total * _EPSILON:
                break
        return max(0.0, 1.0 - total * math.exp(log_front))
    b, c = x + 1.0 - a, 1.0 / _TINY
    d = result = 1.0 / b
    for n in range(1, _MOST_STEPS):
        term, b = -n * (n - a), b + 2.0
        d = term * d + b
        c = b + term / c
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = c if abs(c) > _TINY else _TINY
        result *= c * d
        if abs(c * d - 1.0) < _EPSILON:
            break
    return min(1.0, math.exp(log_front) * result)


def binomial_at_least(successes: int, trials: int, rate: float) -> float:
    """P(X >= successes) for X ~ Binomial(trials, rate), exact. Source: DLMF 8.17.5."""
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    return beta_regularised(successes, trials - successes + 1, rate)


def chi_squared_at_least(statistic: float, freedom: int) -> float:
    """P(X >= statistic) for a chi-squared variable; 1 without any degree of freedom."""
    return gamma_upper(freedom / 2.0, statistic / 2.0) if freedom > 0 else 1.0


def student_below(t: float, freedom: int) -> float:
    """P(T <= t) for Student's t. Source: DLMF 8.17 with x = f / (f + t^2)."""
    if abs(t) < 0.5:  # noqa: PLR2004  # from the middle, where the tail would lose all its digits
        square = t * t / (freedom + t * t)
        return 0.5 + math.copysign(0.5 * beta_regularised(0.5, freedom / 2.0, square), t)
    tail = 0.5 * beta_regularised(freedom / 2.0, 0.5, freedom / (freedom + t * t))
    return tail if t < 0.0 else 1.0 - tail


@lru_cache(maxsize=256)
def student_quantile(probability: float, freedom: int) -> float:
    """The t with P(T <= t) = probability, by bisection."""
    if probability > 0.5:  # noqa: PLR2004  # symmetry about the middle
        return -student_quantile(1.0 - probability, freedom)
    low, high = -1.0, 0.0
    while student_below(low, freedom) > probability:
        low *= 2.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        if student_below(middle, freedom) > probability:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)


def kolmogorov_at_least(distance: float, left: int, right: int) -> float:
    """P(D >= distance) for two samples of one continuous distribution; larger with ties.

    Source: Kolmogorov's limit with the small-sample factor of Stephens (1970), as in Numerical
    Recipes 14.3. From 50 rows a side within 0.04 of SciPy's value; conservative for ties.
    """
    root = math.sqrt(left * right / (left + right))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:  # noqa: PLR2004  # the series below has not begun to fall; 1 - 1e-12
        return 1.0
    total = sum(
        (-1.0) ** (k - 1) * math.exp(-2.0 * (k * scaled) ** 2) for k in range(1, _terms(scaled))
    )
    return min(1.0, max(0.0, 2.0 * total))


def _terms(scaled: float) -> int:
    """Enough terms that the next is below 1e-17."""
    return 2 + math.ceil(math.sqrt(20.0) / scaled)
