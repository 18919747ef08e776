# ruff: noqa: T201, PT018
"""Autologging of three frameworks by the real MLflow client: python autolog.py URI."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import numpy as np

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("autolog")
random = np.random.default_rng(0)
X, y = random.normal(size=(80, 3)), random.integers(0, 2, 80)


def finished(run: mlflow.entities.Run, *metrics: str) -> None:
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params and set(metrics) <= set(found.data.metrics), found.data.metrics
    model = found.outputs.model_outputs[0].model_id
    loaded = mlflow.pyfunc.load_model(f"models:/{model}")
    assert len(loaded.predict(X)) == 80


def sklearn() -> None:
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.autolog()
    with mlflow.start_run() as run:
        LogisticRegression().fit(X, y)
    finished(run, "training_accuracy_score")


def lightgbm() -> None:
    import lightgbm

    mlflow.lightgbm.autolog()
    with mlflow.start_run() as run:
        data = lightgbm.Dataset(X, y)
        lightgbm.train({"objective": "binary", "verbose": -1}, data, 5, valid_sets=[data])
    finished(run, "training-binary_logloss")


def xgboost() -> None:
    import xgboost

    mlflow.xgboost.autolog()
    with mlflow.start_run() as run:
        data = xgboost.DMatrix(X, y)
        xgboost.train({"objective": "binary:logistic"}, data, 5, evals=[(data, "train")])
    found = mlflow.get_run(run.info.run_id)
    assert "train-logloss" in found.data.metrics
    assert len(mlflow.MlflowClient().get_metric_history(run.info.run_id, "train-logloss")) >= 5


if __name__ == "__main__":
    for step in (sklearn, lightgbm, xgboost):
        step()
        print("ok", step.__name__, flush=True)
