"""Profiles, summaries and associations of one dataset version: pure numbers."""
