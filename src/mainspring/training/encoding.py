"""Columns as a matrix that models read: numbers as they are, categories as codes.

The same code runs in training and in serving, so a row cannot be read in two ways.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.core.schema import InputColumn
from mainspring.ports.tables import Frame

Matrix = NDArray[np.float64]


def matrix(inputs: Frame, columns: tuple[InputColumn, ...]) -> Matrix:
    """The inputs in column order: float64 (n, columns), C-contiguous.

    A null number is NaN; a category is its code, -1 when null or not seen in training.
    Errors: ``training.missing_input`` (with the nearest name), ``training.not_a_number``.
    """
    missing = [column.name for column in columns if column.name not in inputs]
    if missing:
        raise Invalid(
            "training.missing_input",
            f"The input {missing[0]!r} is missing.",
            hint=did_you_mean(missing[0], inputs),
            inputs=missing,
        )
    rows = len(next(iter(inputs.values()))) if inputs else 0
    result = np.empty((rows, len(columns)), dtype=np.float64)
    for i, column in enumerate(columns):
        values = inputs[column.name]
        result[:, i] = (
            codes(values, column) if column.type == "category" else numbers(values, column)
        )
    return result


def codes(values: NDArray[Any], column: InputColumn) -> Matrix:
    """Category codes as float64; -1 for null and for a value that training did not see."""
    table: dict[Any, float] = {category: float(i) for i, category in enumerate(column.categories)}
    found = _texts(values)
    return np.array([table.get(text, -1.0) for text in found], dtype=np.float64)


def _texts(values: NDArray[Any]) -> list[str | None]:
    """The values as category names; columns of text and null, the usual ones, at no cost."""
    plain: list[Any] = values.tolist()
    if set(map(type, plain)) <= {str, type(None)}:
        return plain
    return [as_text(value) for value in plain]


def numbers(values: NDArray[Any], column: InputColumn) -> Matrix:
    """Numbers as float64, null as NaN."""
    try:
        if values.dtype.kind == "O":
            return np.array([np.nan if value is None else float(value) for value in values])
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise Invalid(
            "training.not_a_number",
            f"The input {column.name!r} is a number, but holds {_example(values)!r}.",
            hint="Cast it in the feature's SQL, or declare it under 'categories'.",
            input=column.name,
        ) from error


def as_text(value: Any) -> str | None:
    """A category's name: text as it is, whole numbers without a decimal point, null as None."""
    if value is None or value != value:  # noqa: PLR0124 - NaN is the value that is not itself
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def categories(values: NDArray[Any], *, most: int = 1000) -> tuple[str, ...]:
    """The distinct categories in sorted order; the rarer ones beyond ``most`` are left out."""
    counts = Counter(_texts(values))
    counts.pop(None, None)
    kept = sorted(counts, key=lambda text: (-counts[text], str(text)))[:most]
    return tuple(sorted(str(text) for text in kept))


def infer_columns(
    inputs: Frame, names: tuple[str, ...], categorical: frozenset[str]
) -> tuple[InputColumn, ...]:
    """What each input is: text and what the project calls a category, else a number."""

    def one(name: str) -> InputColumn:
        values = inputs[name]
        textual = values.dtype.kind in "OU" and str in set(map(type, values.tolist()))
        if name in categorical or textual:
            return InputColumn(name, "category", categories(values))
        return InputColumn(name, "number")

    return tuple(one(name) for name in names)


def _example(values: NDArray[Any]) -> str:
    for value in values:
        if isinstance(value, str):
            return value[:40]
    return str(values.dtype)
