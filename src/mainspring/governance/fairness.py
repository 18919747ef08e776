"""Whether groups are treated alike: rates per group, the gaps between them, and how sure one is.

No number here proves fairness, and not all gaps can vanish together when base rates differ
(Kleinberg, Mullainathan and Raghavan, 2016). Which gap matters is for the problem's owner.

Source: Hardt, Price and Srebro (2016), Equality of Opportunity in Supervised Learning; gaps are
greatest minus least over the groups judged, as in Fairlearn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from mainspring.core.errors import Invalid
from mainspring.training.bootstrap import cluster_index, draw_counts, interval
from mainspring.training.estimate import Estimate
from mainspring.training.vectors import Counts, Vector, binary, group_names, same_length

RATES: Final = ("selection_rate", "true_positive_rate", "false_positive_rate")
GAPS: Final = (
    "selection_rate_gap",
    "true_positive_rate_gap",
    "false_positive_rate_gap",
    "equalized_odds_gap",
    "selection_rate_ratio",
)


class GroupRates(Struct, frozen=True, kw_only=True):
    """One group's share of positive decisions: over all, over positive and negative labels.

    A group smaller than asked is listed with its values but not ``judged``, so in no gap.
    """

    group: str
    n: int
    positives: int
    base_rate: float
    judged: bool
    selection_rate: Estimate
    true_positive_rate: Estimate
    false_positive_rate: Estimate


class Fairness(Struct, frozen=True, kw_only=True):
    """Groups, largest first, and the gaps over the judged ones (None with fewer than two).

    ``gaps``: ``selection_rate_gap`` (demographic parity), ``true_positive_rate_gap`` (equal
    opportunity), ``false_positive_rate_gap``, ``equalized_odds_gap`` (the larger of these two)
    and ``selection_rate_ratio`` (least over greatest; the four-fifths rule asks for 0.8).

    A gap of noisy groups is never 0, so its interval leaves 0 out even between equals. Compare
    ``low`` with the gap you would accept, not with 0.
    """

    groups: list[GroupRates]
    gaps: dict[str, Estimate]
    threshold: float


def fairness(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    threshold: float,
    min_rows: int = 100,
    draws: int = 200,
    seed: int = 0,
    confidence: float = 0.95,
    most_groups: int = 200,
) -> Fairness:
    """Rates of the decision "score >= threshold" per group, with cluster bootstrap intervals.

    Errors: ``governance.too_many_groups`` and those of ``training.vectors``.
    """
    y, p = binary(labels, scores)
    names, group = np.unique(group_names(groups), return_inverse=True)
    same_length("groups", group.size, y.size)
    if names.size > most_groups:
        raise Invalid(
            "governance.too_many_groups",
            f"There are {names.size} groups, more than {most_groups}.",
            hint="Judge by a column with fewer values, or bin it.",
            groups=int(names.size),
        )
    index, count = cluster_index(clusters, y.size)
    tally = _tally(group * 4 + 2 * (p >= threshold) + (y == 1.0), index, count, int(names.size))
    totals = tally(np.ones(count, dtype=np.int64))
    sizes, positives = totals.sum(axis=1), totals[:, 1] + totals[:, 3]
    judged = sizes >= min_rows

    def statistics(counts: Counts) -> Vector:
        rates = _rates(tally(counts))
        return np.concatenate([rates.ravel(), _gaps(rates[:, judged])])

    values = statistics(np.ones(count, dtype=np.int64))
    drawn = np.array([statistics(one) for one in draw_counts(count, draws=draws, seed=seed)])
    rows = [*(sizes.tolist() * len(RATES)), *([int(y.size)] * len(GAPS))]
    found = [
        _estimate(value, column, (n, count), confidence)
        for value, column, n in zip(values.tolist(), drawn.T, rows, strict=True)
    ]
    split = len(RATES) * names.size
    by_group = [
        _group(str(name), place, (sizes, positives, judged), found[place : split : names.size])
        for place, name in enumerate(names.tolist())
    ]
    return Fairness(
        groups=sorted(by_group, key=lambda one: (-one.n, one.group)),
        gaps=dict(zip(GAPS, found[split:], strict=True)),
        threshold=threshold,
    )


def _group(
    name: str, place: int, counts: tuple[NDArray[Any], ...], rates: list[Estimate]
) -> GroupRates:
    sizes, positives, judged = counts
    return GroupRates(
        group=name,
        n=int(sizes[place]),
        positives=int(positives[place]),
        base_rate=float(positives[place] / sizes[place]),
        judged=bool(judged[place]),
        **dict(zip(RATES, rates, strict=True)),
    )


def _tally(cell: Counts, index: Counts, clusters: int, groups: int) -> Callable[[Counts], Counts]:
    """How often each cluster counts -> rows per group and cell. Shapes: (groups, 4).

    The four cells are (not selected, selected) x (negative, positive), label running fastest.
    Rows of one cluster and cell are added up beforehand, so a draw visits few numbers.
    """
    pairs, rows = np.unique(cell * clusters + index, return_counts=True)
    cells, place = pairs // clusters, pairs % clusters

    def tally(counts: Counts) -> Counts:
        weights = (counts[place] * rows).astype(np.float64)  # whole numbers, exact below 2^53
        found = np.bincount(cells, weights=weights, minlength=4 * groups)
        return found.reshape(groups, 4).astype(np.int64)

    return tally


def _rates(totals: Counts) -> Vector:
    """The three rates; NaN where undefined. Shapes: (groups, 4) -> (3, groups)."""
    quiet, miss, alarm, hit = totals.T.astype(np.float64)
    above = np.stack([alarm + hit, hit, alarm])
    below = np.stack([quiet + miss + alarm + hit, miss + hit, quiet + alarm])
    return np.asarray(above / np.where(below > 0, below, np.nan))


def _gaps(rates: Vector) -> Vector:
    """The gaps in the order of ``GAPS``; NaN with fewer than two groups that have the rate."""
    gaps, extremes = [], []
    for row in rates:
        known = row[~np.isnan(row)]
        two = known.size > 1
        extremes.append((float(known.min()), float(known.max())) if two else (math.nan, math.nan))
        gaps.append(extremes[-1][1] - extremes[-1][0])
    least, greatest = extremes[0]
    ratio = least / greatest if greatest > 0 else math.nan
    return np.array([*gaps, max(gaps[1:]) if not math.isnan(sum(gaps[1:])) else math.nan, ratio])


def _estimate(value: float, drawn: Vector, size: tuple[int, int], confidence: float) -> Estimate:
    """The value with its interval, None where undefined."""
    rows, clusters = size
    known = None if math.isnan(value) else value
    low, high, defined = interval(drawn, clusters, confidence)
    return Estimate(
        value=known,
        low=None if known is None else low,
        high=None if known is None else high,
        n=rows,
        clusters=clusters,
        draws=defined,
        confidence=confidence,
    )
