"""Whether a column's distribution moved: by an amount that matters AND surely.

A p-value alone alarms on harmless shifts once rows are many; a fixed distance alone alarms on
noise while they are few; twenty columns at 5 % each alarm in two reports of three. So a column
has drifted only when its effect is at least the asked size and its p-value, corrected for the
number of columns, is small. Even then it is a diagnosis, not a disaster: whether the model still
works is told by ``performance``.

Source: Benjamini and Hochberg (1995) for the correction; ``distance`` for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
from msgspec import Struct, structs

from mainspring.core.errors import Invalid
from mainspring.monitoring.distance import (
    homogeneity,
    js_divergence,
    js_expected,
    ks_distance,
    psi,
)
from mainspring.monitoring.sketch import CategorySketch, NumericSketch, Sketch
from mainspring.training.distributions import kolmogorov_at_least
from mainspring.training.vectors import Vector

_RARE: Final = 5


class ColumnDrift(Struct, frozen=True, kw_only=True):
    """How far one column moved from the reference.

    ``effect``: numbers: the greatest gap of the distribution functions (0 to 1); categories: the
    Jensen-Shannon distance (0 to 1) beyond what chance alone gives. ``q_value`` is the p-value
    corrected for all judged columns. ``psi`` is for information; no rule uses it.
    """

    column: str
    distance: Literal["ks", "js"]
    effect: float
    p_value: float
    q_value: float
    psi: float
    n_reference: int
    n_current: int
    judged: bool
    drifted: bool


class DriftReport(Struct, frozen=True, kw_only=True):
    """All columns in the order of their effect, and the names of those that drifted."""

    columns: list[ColumnDrift]
    drifted: list[str]
    judged: int


def drift(
    sketches: Mapping[str, tuple[Sketch, Sketch]],
    *,
    effect: float = 0.1,
    significance: float = 0.01,
    min_rows: int = 300,
) -> DriftReport:
    """Every column's (reference, current) pair judged together.

    Windows with fewer than ``min_rows`` values on either side are measured but not judged.

    Errors: ``monitoring.sketch_mismatch``.
    """
    measured = [_measure(name, *pair, min_rows) for name, pair in sketches.items()]
    judged = [one for one in measured if one.judged]
    corrected = benjamini_hochberg([one.p_value for one in judged])
    q_of = {one.column: q for one, q in zip(judged, corrected, strict=True)}
    columns = [
        structs.replace(
            one,
            q_value=q_of.get(one.column, 1.0),
            drifted=one.effect >= effect and q_of.get(one.column, 1.0) <= significance,
        )
        for one in measured
    ]
    columns.sort(key=lambda one: (-one.effect, one.column))
    names = [one.column for one in columns if one.drifted]
    return DriftReport(columns=columns, drifted=names, judged=len(judged))


def _measure(column: str, reference: Sketch, current: Sketch, min_rows: int) -> ColumnDrift:
    if reference.bins != current.bins or type(reference) is not type(current):
        raise Invalid(
            "monitoring.sketch_mismatch",
            f"Reference and window of {column!r} were counted in different bins.",
            hint="Use the bins that belong to the model version being watched.",
            column=column,
        )
    left, right = _counts(reference, current)
    n, m = int(left.sum()), int(right.sum())
    numeric = isinstance(reference, NumericSketch)
    distance, p = 0.0, 1.0
    if n and m and numeric:
        distance = ks_distance(left, right)
        p = kolmogorov_at_least(distance, n, m)
    elif n and m:
        beyond = js_divergence(left, right) - js_expected(left, right)
        distance, p = math.sqrt(max(0.0, beyond)), homogeneity(left, right)
    return ColumnDrift(
        column=column,
        distance="ks" if numeric else "js",
        effect=distance,
        p_value=p,
        q_value=1.0,
        psi=psi(left, right, ordered=numeric) if n and m else 0.0,
        n_reference=n,
        n_current=m,
        judged=min(n, m) >= max(1, min_rows),
        drifted=False,
    )


def _counts(reference: Sketch, current: Sketch) -> tuple[Vector, Vector]:
    """Both sides' counts; categories that are rare in the reference are one with all others.

    A reference of few rows has missed values that exist, and holds others once by luck.
    """
    left, right = (np.array(one.counts, dtype=np.float64) for one in (reference, current))
    if isinstance(reference, CategorySketch) and isinstance(current, CategorySketch):
        rare = left < _RARE
        other = float(left[rare].sum()) + reference.other, float(right[rare].sum()) + current.other
        left, right = np.append(left[~rare], other[0]), np.append(right[~rare], other[1])
    return left, right


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the given order: calling those below q keeps the false share below q."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    result: list[float] = adjusted.tolist()
    return result
