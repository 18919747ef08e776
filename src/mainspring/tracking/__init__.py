"""Experiments, runs, params, metrics, artifacts, inputs and outputs."""
