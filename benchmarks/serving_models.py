"""The two models of the benchmark, trained once: a booster on numbers, a pipeline on a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NUMBERS, WORDS = 15, 3
NAMES = [f"x{n}" for n in range(NUMBERS + WORDS)]
PLACES = np.array([f"place {n}" for n in range(30)], dtype=object)
ROWS = 20_000
SEED = 20130101


def rows_of(kind: str) -> tuple[list[list[float | str]], np.ndarray]:
    """Rows of cells, and their target."""
    random = np.random.default_rng(SEED)
    numbers = random.normal(size=(ROWS, NUMBERS))
    target = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + random.normal(size=ROWS) > 0
    codes = random.integers(0, len(PLACES), size=(ROWS, WORDS))
    words = codes.astype(float) if kind == "lightgbm" else PLACES[codes]
    return [[*a, *b] for a, b in zip(numbers.tolist(), words.tolist(), strict=True)], target


def booster(rows: list[list[float | str]], target: np.ndarray, path: Path) -> object:
    """200 rounds, saved as text."""
    import lightgbm

    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    data = lightgbm.Dataset(np.array(rows), target.astype(float))
    made = lightgbm.train(settings, data, 200)
    made.save_model(path)
    return made


def pipeline(rows: list[list[float | str]], target: np.ndarray, path: Path) -> object:
    """Median imputer, one-hot words and 200 rounds of histogram boosting; a joblib file."""
    import joblib
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    parts = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), NAMES[:NUMBERS]),
            (
                "words",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                NAMES[NUMBERS:],
            ),
        ]
    )
    made = make_pipeline(parts, HistGradientBoostingClassifier(max_iter=200, random_state=SEED))
    made.fit(pd.DataFrame(rows, columns=NAMES), target)
    joblib.dump(made, path)
    return made
