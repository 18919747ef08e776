"""Features: defined in Python, built as of each row's prediction time, read and checked.

A feature set is a list of views. Each view gives a column or some for every row of the problem's
dataset, from what was known at the row's prediction time T and nothing later:

    row       the row's own columns that are known ahead       derived   features of features
    latest    the newest known fact with the same key          planned   the plan around the row
    rolling   sums over what became known in a window          pending   begun and not yet ended

The engine writes one SQL query of it, in which every sum is of whole numbers, so that no order, no
number of threads and no fact of the future can change a bit of a feature.

    views.build(features, problem) -> FeatureBuild;  views.check("late") -> FeatureCheck
"""

from __future__ import annotations

from mainspring.features.define import (
    count,
    derived,
    feature_set,
    highest,
    latest,
    lowest,
    mean,
    pending,
    planned,
    rolling,
    row,
    share,
    total,
)
from mainspring.features.ports import FeatureStore
from mainspring.features.records import FeatureBuild, FeatureCheck
from mainspring.features.service import FeatureViews
from mainspring.features.types import FeatureColumn, FeatureSet

__all__ = [
    "FeatureBuild",
    "FeatureCheck",
    "FeatureColumn",
    "FeatureSet",
    "FeatureStore",
    "FeatureViews",
    "count",
    "derived",
    "feature_set",
    "highest",
    "latest",
    "lowest",
    "mean",
    "pending",
    "planned",
    "rolling",
    "row",
    "share",
    "total",
]
