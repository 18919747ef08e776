"""The facts that the features stage announces."""

from __future__ import annotations

from mainspring.core.events import kind

BUILT = kind("features.built", "A stretch of a feature table was built from dataset versions.")
CHECKED = kind("features.checked", "A feature table was checked against a slow recomputation.")
