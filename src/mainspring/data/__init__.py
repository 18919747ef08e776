"""Sources, datasets and their versions, expectations, cleaning.

A source is where rows come from, a dataset is what they become: read once, cleaned by SQL,
checked against expectations, cut into periods and stored, each period one more version. A version
says what it holds (a content digest), what it was made of (the source's digest) and what was wrong
with the rows (a report); it never changes. Rows that break a promise badly are set aside, with
the reason, where they can be looked at.

    datasets.ingest("orders", spec, sources=..., folder=...) -> versions
    datasets.show("orders", 3), .diff("orders", 2, 3), .read(sql, {"orders": 3})
"""

from __future__ import annotations

from mainspring.data.ports import DatasetStore
from mainspring.data.service import Datasets
from mainspring.data.types import Cleaning, Dataset, Expectation, Source
from mainspring.data.versions import (
    CheckResult,
    ColumnChange,
    DatasetDiff,
    DatasetVersion,
    IngestReport,
)

__all__ = [
    "CheckResult",
    "Cleaning",
    "ColumnChange",
    "Dataset",
    "DatasetDiff",
    "DatasetStore",
    "DatasetVersion",
    "Datasets",
    "Expectation",
    "IngestReport",
    "Source",
]
