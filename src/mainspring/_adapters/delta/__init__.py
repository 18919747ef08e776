"""Versioned tables as Delta Lake, on files or S3."""
