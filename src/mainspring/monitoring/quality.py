"""What broke in a window: missing values, unknown categories, values out of range.

Each share is tested against the reference's share plus a tolerance, by the exact binomial tail.
So one odd row of ten is no alarm, a hundred of a thousand is, and a tiny rise is none even in a
million rows. All checks of a window are corrected together.

The share of values never seen is taken from those seen once (Good and Turing): a reference with
many of these has missed as many again.

Source: Clopper and Pearson (1934) for the exact tail; Good (1953) for the unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, structs

from mainspring.core.errors import Invalid
from mainspring.monitoring.drift import benjamini_hochberg
from mainspring.monitoring.sketch import NumericSketch, Sketch
from mainspring.training.distributions import binomial_at_least

Check = Literal["nulls", "unseen", "below_range", "above_range", "infinite"]


class QualityFinding(Struct, frozen=True, kw_only=True):
    """One check of one column: ``count`` of ``n`` rows, beside the reference's share.

    ``broken`` when the share surely exceeds the reference's by more than the tolerance.
    ``examples`` holds some of the unseen values.
    """

    column: str
    check: Check
    count: int
    n: int
    ratio: float
    reference_ratio: float
    p_value: float
    q_value: float
    broken: bool
    examples: list[str]


def quality(
    sketches: Mapping[str, tuple[Sketch, Sketch]],
    *,
    tolerance: float = 0.01,
    significance: float = 0.01,
) -> list[QualityFinding]:
    """Every check of every column's (reference, current) pair, broken ones first.

    An empty window breaks nothing: that is for a monitor of the volume.

    Errors: ``monitoring.sketch_mismatch``.
    """
    found = [
        one
        for column, (reference, current) in sketches.items()
        for one in _checks(column, reference, current, tolerance)
    ]
    corrected = benjamini_hochberg([one.p_value for one in found])
    judged = [
        structs.replace(one, q_value=q, broken=q <= significance)
        for one, q in zip(found, corrected, strict=True)
    ]
    return sorted(judged, key=lambda one: (not one.broken, -one.ratio, one.column, one.check))


def _checks(
    column: str, reference: Sketch, current: Sketch, tolerance: float
) -> list[QualityFinding]:
    if reference.bins != current.bins or type(reference) is not type(current):
        raise Invalid(
            "monitoring.sketch_mismatch",
            f"Reference and window of {column!r} were counted in different bins.",
            hint="Use the bins that belong to the model version being watched.",
            column=column,
        )
    before, now = _faults(reference), _faults(current)
    if "unseen" in before:
        before["unseen"] += reference.counts.count(1)
    return [
        _finding(column, check, (before[check], reference.rows), (now[check], current), tolerance)
        for check in before
    ]


def _faults(sketch: Sketch) -> dict[Check, int]:
    """How many rows each check counts; a reference without any number has no range."""
    if not isinstance(sketch, NumericSketch):
        return {"nulls": sketch.nulls, "unseen": sketch.other}
    faults: dict[Check, int] = {"nulls": sketch.nulls, "infinite": sketch.infinite}
    if len(sketch.counts) > 1:
        faults |= {"below_range": sketch.counts[0], "above_range": sketch.counts[-1]}
    return faults


def _finding(
    column: str,
    check: Check,
    before: tuple[int, int],
    now: tuple[int, Sketch],
    tolerance: float,
) -> QualityFinding:
    count, current = now
    n = current.rows
    examples = [] if isinstance(current, NumericSketch) else current.examples
    return QualityFinding(
        column=column,
        check=check,
        count=count,
        n=n,
        ratio=count / n if n else 0.0,
        reference_ratio=before[0] / before[1] if before[1] else 0.0,
        p_value=excess_p_value(count, n, before, tolerance),
        q_value=1.0,
        broken=False,
        examples=examples if check == "unseen" else [],
    )


def excess_p_value(count: int, n: int, reference: tuple[int, int], tolerance: float) -> float:
    """How surprising ``count`` of ``n`` is, were the share at most the reference's + tolerance.

    The reference's share is taken as (k + 1) / (n + 2), since a fault never seen in a few
    reference rows may still be usual (Laplace's rule).
    """
    rate = (reference[0] + 1) / (reference[1] + 2) + tolerance
    return binomial_at_least(count, n, min(rate, 1.0))
