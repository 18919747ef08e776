"""Datasets that runs name as their inputs."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring.core.events import Ref, ref
from mainspring.tracking.limits import DATASET_LIMITS, MAX_METRICS, bad, check_shown, check_text
from mainspring.tracking.types import Dataset, DatasetInput

MAX_TAG_KEY = 255
MAX_TAG_VALUE = 500


def check_datasets(inputs: Sequence[DatasetInput]) -> None:
    """Refuses descriptions over MLflow's limits. Errors: ``tracking.bad_value``."""
    if len(inputs) > MAX_METRICS:
        raise bad("The request", f"names {len(inputs)} datasets, the limit is {MAX_METRICS}")
    for entry in inputs:
        for field, limit in DATASET_LIMITS.items():
            text = check_text(f"A dataset's {field}", getattr(entry.dataset, field))
            if len(text) > limit:
                raise bad(f"'{field}'", f"exceeds the maximum length of {limit} characters")
        check_shown("A dataset's name", entry.dataset.name)
        if not entry.dataset.name or not entry.dataset.digest:
            raise bad("A dataset", "needs a name and a digest")
        for key, value in entry.tags.items():
            check_text("A tag of an input", key + value)
            if not key or len(key) > MAX_TAG_KEY or len(value) > MAX_TAG_VALUE:
                raise bad("A tag of an input", f"exceeds {MAX_TAG_KEY} or {MAX_TAG_VALUE} letters")


def dataset_ref(dataset: Dataset) -> Ref:
    """How lineage names a dataset that only a run's code described."""
    return ref("dataset", f"{dataset.name}@{dataset.digest}")
