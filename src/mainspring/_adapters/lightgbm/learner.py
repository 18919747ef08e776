"""Gradient-boosted trees by LightGBM, reproducible to the byte for a seed."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Unavailable
from mainspring.core.schema import InputColumn
from mainspring.ports.tables import Frame
from mainspring.training.encoding import matrix
from mainspring.training.ports import Parameters

DEFAULTS: Final[dict[str, float | int | str | bool]] = {
    "rounds": 200,
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "max_bin": 255,
    "cat_smooth": 10.0,
}


class FittedBooster:
    """A booster and the inputs it reads."""

    runtime = "lightgbm"

    def __init__(self, booster: Any, columns: tuple[InputColumn, ...], threads: int) -> None:
        self._booster = booster
        self._columns = columns
        self._threads = threads

    def predict(self, inputs: Frame) -> NDArray[np.float64]:
        rows = matrix(inputs, self._columns)
        scores = self._booster.predict(rows, num_threads=self._threads)
        return np.asarray(scores, dtype=np.float64)

    def files(self) -> dict[str, bytes]:
        # How many threads trained it is no part of the model; every count gives the same trees.
        text = re.sub(r"\[num_threads: \d+\]", "[num_threads: 1]", self._booster.model_to_string())
        return {"model.txt": text.encode()}

    def importance(self) -> dict[str, float]:
        """The gain of each input, as a share of all gain."""
        gain = np.asarray(self._booster.feature_importance("gain"), dtype=np.float64)
        total = float(gain.sum()) or 1.0
        return {c.name: float(g) / total for c, g in zip(self._columns, gain, strict=True)}


class GradientBoosting:
    """Learner ``gradient_boosting``.

    Parameters are LightGBM's own, plus ``rounds``. Histograms are built row-wise in a fixed
    order (``deterministic``, ``force_row_wise``), so the number of threads changes nothing.
    """

    name = "gradient_boosting"

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def fit(
        self,
        inputs: Frame,
        target: NDArray[np.float64],
        *,
        columns: tuple[InputColumn, ...],
        parameters: Parameters,
        seed: int,
    ) -> FittedBooster:
        lightgbm = _library()
        settings = {**DEFAULTS, **parameters}
        rounds = int(settings.pop("rounds"))
        binary = settings.pop("task", "binary") == "binary"
        rows = matrix(inputs, columns)
        categories = [i for i, c in enumerate(columns) if c.type == "category"]
        for i in categories:
            # The library takes a negative code for missing too, but says so on standard output.
            rows[:, i] = np.where(rows[:, i] < 0, np.nan, rows[:, i])
        data = lightgbm.Dataset(
            rows,
            label=target,
            feature_name=[f"f{i}" for i in range(len(columns))],
            categorical_feature=categories,
            params={"verbosity": -1, "max_bin": settings["max_bin"], "num_threads": self._threads},
            free_raw_data=True,
        )
        booster = lightgbm.train(
            {
                "objective": "binary" if binary else "regression",
                "verbosity": -1,
                "seed": seed,
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": self._threads,
                **settings,
            },
            data,
            num_boost_round=rounds,
        )
        return FittedBooster(booster, columns, self._threads)


def _library() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise Unavailable(
            "training.extra_missing",
            "The learner 'gradient_boosting' needs LightGBM.",
            hint="pip install 'mainspring[lightgbm]'",
            extra="lightgbm",
        ) from error
    return lightgbm
