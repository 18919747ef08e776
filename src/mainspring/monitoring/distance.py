"""How far apart two samples are, from their counts: effect sizes, p-values, and what chance gives.

Shapes: ``left`` (the reference) and ``right`` are counts in the same bins, each with a row at
least.

Source: Kolmogorov (1933) and Smirnov (1939); Lin (1991), Divergence measures based on the Shannon
entropy; Pearson (1900).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from mainspring.training.distributions import chi_squared_at_least, kolmogorov_at_least
from mainspring.training.vectors import Vector, vector

_PSI_GROUPS: Final = 10
_LEAST_EXPECTED: Final = 5.0  # the usual bound for the chi-squared approximation
_EXACT_UNTIL: Final = 40  # pooled count up to which the null's mean is summed, not approximated


def ks_distance(left: Vector, right: Vector) -> float:
    """The greatest gap of two distribution functions, from counts in the same ordered bins."""
    n, m = left.sum(), right.sum()
    gaps = np.abs(np.cumsum(left) * m - np.cumsum(right) * n)  # whole numbers: 0 for x and x
    return float(gaps.max() / (n * m))


def ks_two_samples(left: ArrayLike, right: ArrayLike) -> tuple[float, float]:
    """The exact gap and its p-value, from the values themselves."""
    a, b = np.sort(vector("reference values", left)), np.sort(vector("current values", right))
    every = np.concatenate([a, b])
    gaps = np.abs(
        np.searchsorted(a, every, side="right") * b.size
        - np.searchsorted(b, every, side="right") * a.size
    )
    distance = float(gaps.max()) / (a.size * b.size)
    return distance, kolmogorov_at_least(distance, a.size, b.size)


def js_divergence(left: Vector, right: Vector) -> float:
    """Jensen-Shannon divergence in bits (0 to 1); its square root is a distance."""
    n, m = float(left.sum()), float(right.sum())
    return float(_js_terms(left, right, n, m).sum())


def _js_terms(left: Vector, right: Vector, n: float, m: float) -> Vector:
    p, q = left / n, right / m
    middle = 0.5 * (p + q)
    safe = np.where(middle > 0.0, middle, 1.0)
    ratio_p = np.where(p > 0.0, p / safe, 1.0)
    ratio_q = np.where(q > 0.0, q / safe, 1.0)
    return np.asarray(0.5 * (p * np.log2(ratio_p) + q * np.log2(ratio_q)))


def js_expected(left: Vector, right: Vector) -> float:
    """The divergence that chance alone gives when both sides are one distribution, in bits.

    Per category of c rows in all: common ones give (1/n + 1/m) / (8 ln 2) (1 - c / (n + m)), the
    first term of the expansion; for rare ones the mean over all binomial ways to deal out the c
    rows is summed. Without it a column of 5,000 values alarms on nothing.
    """
    n, m = float(left.sum()), float(right.sum())
    pooled = left + right
    common = pooled[pooled > _EXACT_UNTIL]
    slope = (1.0 / n + 1.0 / m) / (8.0 * math.log(2.0))
    total = float((slope * (1.0 - common / (n + m))).sum())
    rare, times = np.unique(pooled[(pooled > 0) & (pooled <= _EXACT_UNTIL)], return_counts=True)
    share = n / (n + m)
    for c, often in zip(rare.astype(int).tolist(), times.tolist(), strict=True):
        dealt = np.arange(c + 1, dtype=np.float64)
        ways = np.array([math.comb(c, k) * share**k * (1 - share) ** (c - k) for k in range(c + 1)])
        total += often * float((ways * _js_terms(dealt, c - dealt, n, m)).sum())
    return total


def homogeneity(left: Vector, right: Vector) -> float:
    """The p-value of "one distribution": chi-squared, with rare categories pooled into one."""
    n, m = float(left.sum()), float(right.sum())
    pooled = left + right
    common = pooled * min(n, m) / (n + m) >= _LEAST_EXPECTED
    a = np.append(left[common], left[~common].sum())
    pool = np.append(pooled[common], pooled[~common].sum())
    a, pool = a[pool > 0], pool[pool > 0]
    expected = pool * n / (n + m)
    statistic = float((np.square(a - expected) * (n + m) / (expected * m)).sum())
    return chi_squared_at_least(statistic, int(pool.size) - 1)


def psi(left: Vector, right: Vector, *, ordered: bool) -> float:
    """Population stability index over about ten groups, half a row added to each.

    For information only: its size under no change depends on the number of rows, so no fixed
    bound separates drift from noise.
    """
    if ordered:
        passed = np.cumsum(left) - 0.5 * left
        group = np.minimum((passed * _PSI_GROUPS / left.sum()).astype(np.int64), _PSI_GROUPS - 1)
        left, right = (
            np.bincount(group, weights=side, minlength=_PSI_GROUPS).astype(np.float64)
            for side in (left, right)
        )
    p, q = (left + 0.5) / (left + 0.5).sum(), (right + 0.5) / (right + 0.5).sum()
    return float(((q - p) * np.log(q / p)).sum())
