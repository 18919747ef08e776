"""Compute on warm local processes."""
