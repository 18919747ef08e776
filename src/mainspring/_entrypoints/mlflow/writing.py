"""Answers in MLflow's JSON: snake case, unset fields dropped, NaN as a string.

The structs are the hot path's hand-written encoders: msgspec writes them in one pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from math import isnan
from typing import Any, Final

import msgspec

from mainspring._entrypoints._http import Response, json_bytes
from mainspring.tracking.columns import Columns
from mainspring.tracking.types import Experiment, LoggedModel, ModelPoint, Point, Run

_encode = msgspec.json.Encoder().encode
EMPTY: Final = b"{}"
_LIFECYCLE: Final = {"active": "active", "deleted": "deleted"}


class KeyValue(msgspec.Struct, gc=False):
    key: str
    value: str


class Metric(msgspec.Struct, omit_defaults=True, gc=False):
    key: str
    value: float | str
    timestamp: int
    step: int
    dataset_name: str = ""
    dataset_digest: str = ""
    model_id: str = ""
    run_id: str = ""


class _Plain(msgspec.Struct, gc=False):
    """A point of a history: a hundred thousand are one answer."""

    key: str
    value: float
    timestamp: int
    step: int


class RunInfo(msgspec.Struct, omit_defaults=True):
    run_id: str
    run_uuid: str
    run_name: str
    experiment_id: str
    status: str
    start_time: int
    artifact_uri: str
    lifecycle_stage: str
    user_id: str = ""
    end_time: int | None = None


class RunData(msgspec.Struct, omit_defaults=True):
    metrics: list[Metric] = []
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class WholeRun(msgspec.Struct):
    info: RunInfo
    data: RunData
    inputs: dict[str, Any]
    outputs: dict[str, Any]


def answer(value: Any) -> Response:
    """A value as an answer."""
    return json_bytes(_encode(value))


def empty() -> Response:
    """The answer of calls that only do something."""
    return json_bytes(EMPTY)


def key_values(pairs: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key, value) for key, value in pairs.items()]


def metric(point: Point) -> Metric:
    key, value, step, time_ms = point
    return Metric(key, value if value == value else "NaN", time_ms, step)  # noqa: PLR0124 - NaN


def history_json(key: str, columns: Columns) -> bytes:
    """A metric's points as a JSON list, without a Python call for each unless one is NaN."""
    if any(map(isnan, columns.values)):
        return _encode([metric(point) for point in columns.points(key)])
    return _encode(list(map(_Plain, repeat(key), columns.values, columns.times_ms, columns.steps)))


def run_info(run: Run) -> RunInfo:
    return RunInfo(
        run_id=run.id,
        run_uuid=run.id,
        run_name=run.name,
        experiment_id=run.experiment_id,
        status=run.status,
        start_time=run.start_ms,
        artifact_uri=run.artifact_uri,
        lifecycle_stage=_LIFECYCLE[run.state],
        user_id=run.user,
        end_time=run.end_ms,
    )


def whole_run(run: Run) -> WholeRun:
    data = RunData(
        metrics=[metric(point) for point in run.metrics],
        params=key_values(run.params),
        tags=key_values(run.tags),
    )
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    if run.datasets:
        inputs["dataset_inputs"] = [
            {
                "tags": key_values(entry.tags),
                "dataset": without_empty(msgspec.structs.asdict(entry.dataset)),
            }
            for entry in run.datasets
        ]
    if run.models:
        read = [{"model_id": link.model_id} for link in run.models if link.role == "input"]
        made = [
            {"model_id": link.model_id, "step": link.step}
            for link in run.models
            if link.role == "output"
        ]
        inputs |= {"model_inputs": read} if read else {}
        outputs |= {"model_outputs": made} if made else {}
    return WholeRun(run_info(run), data, inputs, outputs)


def experiment(found: Experiment) -> dict[str, Any]:
    fields = {
        "experiment_id": found.id,
        "name": found.name,
        "artifact_location": found.artifact_uri,
        "lifecycle_stage": found.state,
        "last_update_time": found.updated_ms,
        "creation_time": found.created_ms,
    }
    return {**fields, "tags": key_values(found.tags)} if found.tags else fields


def model_metric(entry: ModelPoint) -> Metric:
    found = metric(entry.point)
    found.model_id = entry.model_id
    found.run_id = entry.run_id
    found.dataset_name = entry.dataset_name
    found.dataset_digest = entry.dataset_digest
    return found


def logged_model(model: LoggedModel) -> dict[str, Any]:
    info = {
        "model_id": model.id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": model.created_ms,
        "last_updated_timestamp_ms": model.updated_ms,
        "artifact_uri": model.artifact_uri,
        "status": f"LOGGED_MODEL_{model.status}",
        "model_type": model.model_type,
        "source_run_id": model.run_id,
        "status_message": model.status_message,
        "tags": key_values(model.tags),
    }
    data = {
        "params": key_values(model.params),
        "metrics": [model_metric(entry) for entry in model.metrics],
    }
    return {"info": without_empty(info), "data": without_empty(data)}


def without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that hold something: an unset field is dropped."""
    return {name: value for name, value in fields.items() if value not in ("", None, [], {})}
