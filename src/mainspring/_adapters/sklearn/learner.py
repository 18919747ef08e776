"""Linear learners: fitted by scikit-learn, kept as plain numbers that need no library to read."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Unavailable
from mainspring.core.schema import InputColumn
from mainspring.ports.tables import Frame
from mainspring.training.encoding import Matrix, matrix
from mainspring.training.linear import CategoryTerm, FittedLinear, LinearModel, NumberTerm
from mainspring.training.ports import Parameters

DEFAULTS: Final[dict[str, float | int | str | bool]] = {"C": 1.0, "alpha": 1.0, "max_iter": 200}


class _Design:
    """The numeric matrix a linear model is fitted to, and the way back to named terms.

    Columns: each number standardised with nulls at the mean; for each number that has nulls an
    indicator; for each category one indicator per code.
    """

    def __init__(self, rows: Matrix, columns: tuple[InputColumn, ...]) -> None:
        self.columns = columns
        missing = np.isnan(rows)
        counts = np.maximum((~missing).sum(axis=0), 1)
        self.means = np.where(missing, 0.0, rows).sum(axis=0) / counts
        centred = np.where(missing, 0.0, rows - self.means)
        deviations = np.sqrt((centred**2).sum(axis=0) / counts)
        self.scales = np.where(deviations > 0, deviations, 1.0)
        self.blocks: list[tuple[int, str, int]] = []
        parts: list[Matrix] = []
        for i, column in enumerate(columns):
            if column.type == "category":
                size = len(column.categories)
                self.blocks.append((i, "category", size))
                parts.append((rows[:, i, None] == np.arange(size)).astype(np.float64))
                continue
            self.blocks.append((i, "number", 1))
            parts.append((centred[:, i] / self.scales[i])[:, None])
            if missing[:, i].any():
                self.blocks.append((i, "missing", 1))
                parts.append(missing[:, i, None].astype(np.float64))
        self.design = np.hstack(parts) if parts else np.zeros((rows.shape[0], 0))

    def model(self, link: Any, intercept: float, weights: NDArray[np.float64]) -> LinearModel:
        """The fitted weights under the names of the inputs."""
        plain = {i: [0.0, 0.0] for i, c in enumerate(self.columns) if c.type == "number"}
        grouped: dict[str, CategoryTerm] = {}
        at = 0
        for i, what, size in self.blocks:
            block = weights[at : at + size]
            at += size
            if what == "category":
                grouped[self.columns[i].name] = CategoryTerm(weights=tuple(map(float, block)))
            else:
                plain[i][what == "missing"] = float(block[0])
        numbers = {
            self.columns[i].name: NumberTerm(
                weight=weight,
                missing_weight=missing_weight,
                mean=float(self.means[i]),
                scale=float(self.scales[i]),
                fill=float(self.means[i]),
            )
            for i, (weight, missing_weight) in plain.items()
        }
        return LinearModel(link=link, intercept=intercept, numbers=numbers, categories=grouped)


class Logistic:
    """Learner ``logistic``: L2-regularised logistic regression; parameters ``C``, ``max_iter``."""

    name = "logistic"

    def fit(
        self,
        inputs: Frame,
        target: NDArray[np.float64],
        *,
        columns: tuple[InputColumn, ...],
        parameters: Parameters,
        seed: int,  # noqa: ARG002 - the solver is deterministic
    ) -> FittedLinear:
        linear_model = _library()
        settings = {**DEFAULTS, **parameters}
        design = _Design(matrix(inputs, columns), columns)
        fitted = linear_model.LogisticRegression(
            C=float(settings["C"]), max_iter=int(settings["max_iter"]), tol=1e-3
        ).fit(design.design, target)
        model = design.model("logit", float(fitted.intercept_[0]), fitted.coef_[0])
        return FittedLinear(model, columns)


class Linear:
    """Learner ``linear``: ridge regression; parameter ``alpha``."""

    name = "linear"

    def fit(
        self,
        inputs: Frame,
        target: NDArray[np.float64],
        *,
        columns: tuple[InputColumn, ...],
        parameters: Parameters,
        seed: int,  # noqa: ARG002 - the solver is deterministic
    ) -> FittedLinear:
        linear_model = _library()
        settings = {**DEFAULTS, **parameters}
        design = _Design(matrix(inputs, columns), columns)
        fitted = linear_model.Ridge(alpha=float(settings["alpha"]), solver="cholesky").fit(
            design.design, target
        )
        model = design.model("identity", float(fitted.intercept_), fitted.coef_)
        return FittedLinear(model, columns)


def _library() -> Any:
    try:
        from sklearn import linear_model
    except ImportError as error:
        raise Unavailable(
            "training.extra_missing",
            "The linear learners need scikit-learn.",
            hint="pip install 'mainspring[sklearn]'",
            extra="sklearn",
        ) from error
    return linear_model
