"""A folder of MLflow's file store (``mlruns``) as an origin to take runs and models from."""
