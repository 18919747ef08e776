"""The model as each peer of our own making calls it: rows of cells to a list of scores."""

from collections.abc import Callable

NUMBERS, WORDS = 15, 3
NAMES = [f"x{n}" for n in range(NUMBERS + WORDS)]
Scorer = Callable[[list[list[float | str]]], list[float]]


def load(kind: str, model: str) -> Scorer:
    """``lightgbm``: a booster on numbers; ``pipeline``: a scikit-learn pipeline on a frame."""
    if kind == "lightgbm":
        import lightgbm
        import numpy as np

        booster = lightgbm.Booster(model_file=model)
        return lambda rows: booster.predict(np.array(rows), num_threads=1).tolist()
    import joblib
    import pandas as pd

    pipeline = joblib.load(model)

    def score(rows: list[list[float | str]]) -> list[float]:
        return pipeline.predict_proba(pd.DataFrame(rows, columns=NAMES))[:, 1].tolist()

    return score
