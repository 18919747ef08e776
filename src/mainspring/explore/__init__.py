"""Explore: the picture of one dataset version, and whether it is ready to train on.

Everything is numbers: a page, a terminal and a test read the same values.

    profile(tables, datasets.show("orders"), target_sql="delay > 15") -> Profile
    .columns .correlations .target .warnings .ready
"""

from __future__ import annotations

from mainspring.explore.profile import profile
from mainspring.explore.types import (
    Bin,
    ColumnProfile,
    Correlation,
    Finding,
    Profile,
    TargetProfile,
    TopValue,
)

__all__ = [
    "Bin",
    "ColumnProfile",
    "Correlation",
    "Finding",
    "Profile",
    "TargetProfile",
    "TopValue",
    "profile",
]
