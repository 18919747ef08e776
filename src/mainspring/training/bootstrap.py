"""Intervals that respect dependence: whole clusters (days, customers) are drawn, not rows.

Rows of one day share weather, prices and staff. Drawing rows would call the same evidence new
many times over, and intervals would be far too short.

Source: Davison and Hinkley (1997), Bootstrap Methods and their Application, 3.8 (clusters), and
Hesterberg (2015), What Teachers Should Know About the Bootstrap, 5.3: the percentile interval is
widened to the reach of Student's t, since with 14 days the plain one is about 10 % too short.

Determinism: counts are integers and sums run in a fixed order without BLAS, so equal input and
seed give equal bytes on any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainspring.core.errors import Invalid
from mainspring.training.distributions import NORMAL, student_below, student_quantile
from mainspring.training.estimate import Estimate
from mainspring.training.metrics import Measure, Ranking, checked, from_totals, metric, row_terms
from mainspring.training.vectors import Counts, Vector, same_length, share

_FEW: Final = 2

Statistic = Callable[[Counts], float]
"""How often each cluster was drawn -> the number (NaN where undefined)."""


def clusters_of(times: NDArray[np.datetime64], resample: Literal["row", "day", "week"]) -> Counts:
    """The cluster of each row: itself, its UTC day, or its UTC week (from Monday).

    Errors: ``training.missing_time``.
    """
    if resample == "row":
        return np.arange(times.size, dtype=np.int64)
    if bool(np.isnat(times).any()):
        raise Invalid(
            "training.missing_time",
            "A row without a time belongs to no day or week.",
            hint="Set 'resample = \"row\"', or leave such rows out.",
        )
    days: Counts = times.astype("datetime64[D]").astype(np.int64)
    return days if resample == "day" else (days + 3) // 7  # 1970-01-01 was a Thursday


def cluster_index(clusters: ArrayLike | None, rows: int) -> tuple[Counts, int]:
    """Each row's cluster as 0 .. count - 1 (in sorted order of the ids), and their count."""
    if clusters is None:
        return np.arange(rows, dtype=np.int64), rows
    ids = np.asarray(clusters)
    same_length("cluster ids", ids.size, rows)
    unique, index = np.unique(ids, return_inverse=True)
    return index.astype(np.int64).ravel(), int(unique.size)


def draw_counts(clusters: int, *, draws: int, seed: int) -> Iterator[Counts]:
    """For each draw, how often each cluster was drawn (with replacement)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for _ in range(draws):
        drawn = generator.integers(0, clusters, size=clusters)
        yield np.bincount(drawn, minlength=clusters).astype(np.int64, copy=False)


def statistic_of(measure: Measure, y: Vector, p: Vector, index: Counts, clusters: int) -> Statistic:
    """The metric as a function of how often each cluster counts; no sorting per call."""
    if measure.name == "auc":
        ranking = Ranking(y, p)
        positive, negative = index[ranking.positives], index[ranking.negatives]
        return lambda counts: ranking.auc(counts[positive], counts[negative])
    terms = row_terms(measure, y, p)
    sums = np.stack([np.bincount(index, weights=term, minlength=clusters) for term in terms])
    return lambda counts: float(from_totals(measure, (sums * counts).sum(axis=1)))


def resample(
    statistics: Sequence[Statistic], clusters: int, *, draws: int, seed: int
) -> NDArray[np.float64]:
    """Every statistic on the same draws, so differences are paired. Shapes: (draws, statistics).

    Errors: ``training.few_draws``.
    """
    if draws < 1:
        raise Invalid("training.few_draws", "A bootstrap needs draws.", hint="Use 200 or more.")
    counted = draw_counts(clusters, draws=draws, seed=seed)
    return np.array([[one(counts) for one in statistics] for counts in counted], dtype=np.float64)


def interval(
    values: Vector, clusters: int, confidence: float
) -> tuple[float | None, float | None, int]:
    """Low, high and the number of defined values; None with one cluster or most undefined.

    Percentiles of the draws; where fewer than two draws lie beyond them, mean and deviation of
    the draws and Student's t take over, since percentiles cannot see past the last draw.
    """
    share("confidence", confidence)
    defined = _enough(values, clusters)
    if defined is None:
        return None, None, int(np.count_nonzero(~np.isnan(values)))
    reach = -student_quantile((1.0 - confidence) / 2.0, clusters - 1)
    reach *= math.sqrt(clusters / (clusters - 1))
    tail = NORMAL.cdf(-reach)
    if tail * defined.size < _FEW:
        middle, spread = float(defined.mean()), float(defined.std())
        return middle - reach * spread, middle + reach * spread, int(defined.size)
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return float(low), float(high), int(defined.size)


def p_value(values: Vector, clusters: int) -> float | None:
    """Two-sided evidence against "no difference", on the same footing as ``interval``.

    It is below 1 - confidence where the interval of that confidence leaves zero out, up to the
    coarseness of the draws. None where ``interval`` has none.
    """
    defined = _enough(values, clusters)
    if defined is None:
        return None
    below = int(np.count_nonzero(defined <= 0.0))
    above = int(np.count_nonzero(defined >= 0.0))
    tail, spread = (1 + min(below, above)) / (1 + defined.size), float(defined.std())
    if tail >= 0.5:  # noqa: PLR2004  # as many draws on either side
        return 1.0
    few = min(below, above) < _FEW and spread > 0.0
    reach = abs(float(defined.mean())) / spread if few else -NORMAL.inv_cdf(tail)
    reach *= math.sqrt((clusters - 1) / clusters)
    return min(1.0, 2.0 * student_below(-reach, clusters - 1))


def _enough(values: Vector, clusters: int) -> Vector | None:
    """The defined values, unless there is one cluster or most values are undefined."""
    defined = values[~np.isnan(values)]
    enough = clusters >= _FEW and defined.size >= _FEW and 2 * defined.size >= values.size
    return defined if enough else None


def bootstrap(
    measure: Measure,
    labels: ArrayLike,
    predictions: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    draws: int = 200,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """The metric with its interval; ``clusters`` names each row's cluster (None: rows)."""
    y, p = checked(measure, labels, predictions)
    index, count = cluster_index(clusters, y.size)
    value = metric(measure, y, p)
    low, high, defined = None, None, 0
    if value is not None:
        one = statistic_of(measure, y, p, index, count)
        values = resample([one], count, draws=draws, seed=seed)[:, 0]
        low, high, defined = interval(values, count, confidence)
    return Estimate(
        value=value,
        low=low,
        high=high,
        n=int(y.size),
        clusters=count,
        draws=defined,
        confidence=confidence,
    )
