"""A gateway's process holds what its models need, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import mainspring as ms

HEAVY = ("pandas", "sklearn", "scipy", "lightgbm", "xgboost", "skops", "onnx", "skl2onnx", "polars")
# What a gateway does to serve a version, then what its process holds.
SERVE = """
import sys
from pathlib import Path
import numpy as np
import mainspring._entrypoints.inference.server
from mainspring._adapters.files.objects import FileObjects
from mainspring._bootstrap.workspace import runtimes
from mainspring.serving.model import load_model

model = load_model(sys.argv[2], FileObjects(Path(sys.argv[1])).get, runtimes())
rows = {name: np.array([1.5, np.nan, 7.0]) for name in model.names}
assert len(model.predict(rows).score) == 3
print(*{name.split(".")[0] for name in sys.modules})
"""


def booster(library, matrix, target):
    if library == "lightgbm":
        import lightgbm

        settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
        return lightgbm.train(settings, lightgbm.Dataset(matrix, target), 5)
    if library == "xgboost":
        import xgboost

        settings = {"objective": "binary:logistic", "nthread": 1}
        return xgboost.train(settings, xgboost.DMatrix(matrix, target), 5)
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    model = HistGradientBoostingClassifier(max_iter=5)
    return make_pipeline(SimpleImputer(), model).fit(matrix, target)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "sklearn"])
def test_no_training_library_is_loaded_to_serve(tmp_path, library):
    """Boosters go through their C libraries, pipelines as graphs: no pandas, no scikit-learn."""
    random = np.random.default_rng(2)
    matrix = random.integers(0, 40, (400, 2)) / 2
    target = (matrix[:, 0] * matrix[:, 1] > 100).astype(int)
    sample = {"a": matrix[:, 0], "b": matrix[:, 1]}
    with ms.open(tmp_path / "ws") as ws:
        version = ws.models.save("late", booster(library, matrix, target), sample=sample)
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path / "ws" / "objects"), version.package],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not set(HEAVY) & set(done.stdout.split())
