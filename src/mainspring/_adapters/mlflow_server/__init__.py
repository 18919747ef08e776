"""A running MLflow server as an origin to take runs and models from, over its REST API."""
