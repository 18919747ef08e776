"""A linear model as plain numbers: standardised inputs, one weight per category, a link.

File format ``linear.json``::

    {"version": 1, "link": "logit" | "identity", "intercept": w,
     "numbers": {name: {"weight": w, "missing_weight": w, "mean": m, "scale": s, "fill": x}},
     "categories": {name: {"weights": [w per code], "unknown": w}}}

A null number counts as its ``fill`` (the mean, as we fit it) and adds its ``missing_weight``.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import canonical_json
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn
from mainspring.ports.tables import Frame
from mainspring.training.encoding import Matrix, matrix

Vector = NDArray[np.float64]


class NumberTerm(msgspec.Struct, frozen=True, kw_only=True):
    """How a number enters: standardised, times its weight."""

    weight: float
    missing_weight: float
    mean: float
    scale: float
    fill: float


class CategoryTerm(msgspec.Struct, frozen=True, kw_only=True):
    """How a category enters: one weight per code."""

    weights: tuple[float, ...]
    unknown: float = 0.0


class LinearModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model as its file holds it."""

    link: Literal["logit", "identity"]
    intercept: float
    numbers: dict[str, NumberTerm] = {}
    categories: dict[str, CategoryTerm] = {}
    version: Literal[1] = 1

    def scores(self, rows: Matrix, columns: tuple[InputColumn, ...]) -> Vector:
        """One number per row of the encoded matrix."""
        total = np.full(rows.shape[0], self.intercept)
        for i, column in enumerate(columns):
            if column.type == "category":
                term = self.categories[column.name]
                weights = np.array([*term.weights, term.unknown])
                total += weights[rows[:, i].astype(np.int64)]
            else:
                total += _number_part(self.numbers[column.name], rows[:, i])
        return total if self.link == "identity" else expit(total)


def _number_part(term: NumberTerm, values: Vector) -> Vector:
    missing = np.isnan(values)
    standard = (np.where(missing, term.fill, values) - term.mean) / term.scale
    return standard * term.weight + missing * term.missing_weight


def expit(x: Vector) -> Vector:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def parse(data: bytes) -> LinearModel:
    """The model in a ``linear.json``. Errors: ``training.bad_linear_model``."""
    try:
        return msgspec.json.decode(data, type=LinearModel)
    except msgspec.MsgspecError as error:
        raise Invalid(
            "training.bad_linear_model",
            f"linear.json is not a linear model ({error}).",
            hint="The package was damaged or made by another program.",
        ) from error


class FittedLinear:
    """A linear model with the inputs it was fitted to."""

    runtime = "linear"

    def __init__(self, model: LinearModel, columns: tuple[InputColumn, ...]) -> None:
        self.model = model
        self.columns = columns

    def predict(self, inputs: Frame) -> Vector:
        return self.model.scores(matrix(inputs, self.columns), self.columns)

    def files(self) -> dict[str, bytes]:
        return {"linear.json": canonical_json(self.model)}


class FittedConstant:
    """The same answer for every row: the reference that a model must beat."""

    runtime = "constant"

    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, inputs: Frame) -> Vector:
        return np.full(len(next(iter(inputs.values()))), self.value)

    def files(self) -> dict[str, bytes]:
        return {"constant.json": canonical_json({"value": self.value})}


class ConstantLearner:
    """Always the mean of the target: for a binary task the base rate."""

    name = "constant"

    def fit(
        self,
        inputs: Frame,  # noqa: ARG002 - the port's signature
        target: Vector,
        *,
        columns: tuple[InputColumn, ...],  # noqa: ARG002
        parameters: object,  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> FittedConstant:
        return FittedConstant(float(np.mean(target)))
