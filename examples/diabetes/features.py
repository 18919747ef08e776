"""What was measured at the first examination, and two ratios that physicians look at."""

from __future__ import annotations

from mainspring.features import derived, feature_set, row

features = feature_set(
    row(
        "examination",
        {
            "age": "age",
            "sex": "sex",
            "bmi": "bmi",
            "blood_pressure": "blood_pressure",
            "total_cholesterol": "tc",
            "ldl": "ldl",
            "hdl": "hdl",
            "triglycerides_log": "ltg",
            "glucose": "glucose",
        },
    ),
    derived("ratios", {"cholesterol_ratio": "total_cholesterol / hdl", "ldl_ratio": "ldl / hdl"}),
    categories=["sex"],
    name="examination",
)
