"""Checked arrays: what the mathematics of every stage may rely on about its input.

Errors: ``training.empty``, ``training.wrong_shape``, ``training.length_mismatch``,
``training.not_numeric``, ``training.not_finite``, ``training.not_binary``,
``training.not_probability``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainspring.core.errors import Invalid

Vector = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


def vector(what: str, values: ArrayLike) -> Vector:
    """The values as one-dimensional, finite float64; booleans and integers are welcome."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Invalid(
            "training.not_numeric",
            f"The {what} are not numbers.",
            hint="Encode text as categories or numbers first.",
            what=what,
        ) from error
    if array.ndim != 1:
        raise Invalid(
            "training.wrong_shape",
            f"The {what} have {array.ndim} dimensions instead of one.",
            hint="Pass one value per row.",
            what=what,
        )
    if array.size == 0:
        raise Invalid(
            "training.empty", f"There are no {what}.", hint="Check the filter or split.", what=what
        )
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise Invalid(
            "training.not_finite",
            f"{bad} of {array.size} {what} are missing or infinite.",
            hint="Leave out rows without a label, and check what the model returned.",
            what=what,
            rows=bad,
        )
    return array


def same_length(what: str, length: int, expected: int) -> None:
    """Nothing, or an error: two arrays that describe the same rows must be equally long."""
    if length != expected:
        raise Invalid(
            "training.length_mismatch",
            f"There are {length} {what} for {expected} rows.",
            hint="Pass one value per row, in the same order.",
            what=what,
            length=length,
            expected=expected,
        )


def paired(labels: ArrayLike, predictions: ArrayLike) -> tuple[Vector, Vector]:
    """Labels and predictions as equally long finite vectors."""
    y, p = vector("labels", labels), vector("predictions", predictions)
    same_length("predictions", p.size, y.size)
    return y, p


def binary(labels: ArrayLike, scores: ArrayLike) -> tuple[Vector, Vector]:
    """Labels that are 0 or 1, and a finite score for each."""
    y, p = paired(labels, scores)
    if not bool(np.all((y == 0.0) | (y == 1.0))):
        raise Invalid(
            "training.not_binary",
            "A label is neither 0 nor 1.",
            hint="Set the problem's task to 'regression', or define the target as a condition.",
        )
    return y, p


def probabilities(scores: Vector) -> Vector:
    """The scores themselves, once all lie between 0 and 1."""
    if float(scores.min()) < 0.0 or float(scores.max()) > 1.0:
        raise Invalid(
            "training.not_probability",
            "A score lies outside 0 to 1, so it is not a probability.",
            hint="Calibrate the model, or judge it by 'auc', which needs only an order.",
            lowest=float(scores.min()),
            highest=float(scores.max()),
        )
    return scores


def share(what: str, value: float) -> float:
    """The value itself, once it lies strictly between 0 and 1.

    Errors: ``training.bad_share``.
    """
    if not 0.0 < value < 1.0:
        raise Invalid(
            "training.bad_share",
            f"The {what} is {value:g}, not between 0 and 1.",
            hint="Write 90 percent as 0.9.",
            what=what,
        )
    return value


def group_names(values: ArrayLike) -> NDArray[np.str_]:
    """Each row's group as text; None and NaN (which differs from itself) are ``(missing)``."""
    cells = np.asarray(values, dtype=object).tolist()
    named = ["(missing)" if one is None or one != one else str(one) for one in cells]  # noqa: PLR0124
    return np.array(named, dtype=np.str_)
