"""Splits, search, evaluation, calibration and the decision threshold."""
