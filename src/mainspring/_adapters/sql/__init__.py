"""Statements shared by SQLite and PostgreSQL: one file per stage, and the migrations."""
