"""Versioned tables as Delta Lake on files, read and written through DuckDB."""
