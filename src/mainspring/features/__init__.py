"""Entities, feature views, the point-in-time join, online read."""
