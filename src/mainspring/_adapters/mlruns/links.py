"""What a run of MLflow's file store read and made, and what was measured of its models.

::

    <experiment>/datasets/<id>/meta.yaml
    <experiment>/<run>/inputs/<link>/meta.yaml     source_type DATASET or MODEL_INPUT, tags
    <experiment>/<run>/outputs/<link>/meta.yaml    destination_type MODEL_OUTPUT, step
    <experiment>/models/m-<id>/metrics/<key>       lines: time value step run [dataset digest]

Source: mlflow/store/tracking/file_store.py of MLflow 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mainspring._adapters.mlruns.flat_yaml import parse_below, parse_flat
from mainspring.tracking.types import Dataset, DatasetInput, ModelLink, ModelPoint, Point

_RUN_AND_DATASET: Final = 3
_FIELDS: Final = ("name", "digest", "source_type", "source", "schema", "profile")


def dataset(meta: str) -> Dataset:
    """A dataset as its file tells it."""
    told = parse_flat(meta)
    return Dataset(**{field: told.get(field) or "" for field in _FIELDS})


def read_dataset(link: str, known: dict[str, Dataset]) -> DatasetInput | None:
    """What a link of a run's inputs says was read; None when it is no dataset, or not there."""
    told = parse_flat(link)
    found = known.get(told.get("source_id") or "")
    if told.get("source_type") != "DATASET" or found is None:
        return None
    tags = {key: value or "" for key, value in parse_below(link, "tags").items()}
    return DatasetInput(found, tags)


def model_link(link: str) -> ModelLink | None:
    """The model that a link of a run's inputs or outputs names; None when it names none."""
    told = parse_flat(link)
    if told.get("source_type") == "MODEL_INPUT":
        return ModelLink(told.get("source_id") or "", "input")
    if told.get("destination_type") == "MODEL_OUTPUT":
        step = told.get("step") or "0"
        model_id = told.get("destination_id") or ""
        return ModelLink(model_id, "output", int(step) if step.lstrip("-").isdigit() else 0)
    return None


def measured(model_id: str, key: str, text: str) -> Iterator[ModelPoint]:
    """The values of one metric of a model; lines that are none are passed over."""
    for line in text.splitlines():
        time_ms, value, step, *rest = (*line.split(), "", "", "")
        run_id, name, digest, *_ = (*rest, *[""] * _RUN_AND_DATASET)
        try:
            point = Point(key, float(value), int(step or 0), int(time_ms))
        except ValueError:
            continue
        yield ModelPoint(model_id, point, run_id, name, digest)
