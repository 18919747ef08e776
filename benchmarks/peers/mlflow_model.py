"""Saves the model as MLflow's own: ``mlflow_model.py KIND MODEL FOLDER``."""

import sys

kind, model, folder = sys.argv[1:4]
if kind == "lightgbm":
    import lightgbm
    import mlflow.lightgbm

    mlflow.lightgbm.save_model(lightgbm.Booster(model_file=model), folder)
else:
    import joblib
    import mlflow.sklearn

    mlflow.sklearn.save_model(
        joblib.load(model),
        folder,
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
    )
