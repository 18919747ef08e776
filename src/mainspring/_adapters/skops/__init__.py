"""scikit-learn estimators and pipelines, kept by skops (extra ``sklearn``): never a pickle."""
