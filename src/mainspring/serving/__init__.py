"""Endpoints, model runtimes, traffic, prediction records, batch scoring."""
