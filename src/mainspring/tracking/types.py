"""Experiments, runs, what is logged to them and logged models, as values.

Moments that a client sends are whole milliseconds since 1970 (``..._ms``), as its wire has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import msgspec

from mainspring.core.ids import RunId

if TYPE_CHECKING:
    from mainspring.tracking.columns import Columns

State = Literal["active", "deleted"]
View = Literal["active", "deleted", "all"]
Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
ModelStatus = Literal["PENDING", "READY", "UPLOAD_FAILED"]
Role = Literal["input", "output"]

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
MODEL_STATUSES: Final[tuple[ModelStatus, ...]] = get_args(ModelStatus)
ENDED: Final[frozenset[Status]] = frozenset({"FINISHED", "FAILED", "KILLED"})
NAME_TAG: Final = "mlflow.runName"
LOST_TAG: Final = "mainspring.lost"
HOLD_TAG: Final = "mainspring.hold"  # on a run, an experiment or a model: gc spares it
CONTEXT_TAG: Final = "mlflow.data.context"
DEFAULT_EXPERIMENT: Final = "0"


class Point(NamedTuple):
    """One value of a metric; NaN is a value. A tuple, because a million of them pass by."""

    key: str
    value: float
    step: int
    time_ms: int


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A place for runs. Its name stays taken after it was deleted."""

    id: str
    name: str
    artifact_uri: str
    created_ms: int
    updated_ms: int
    state: State = "active"
    tags: dict[str, str] = {}


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as a run's code described it."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct, frozen=True):
    """A dataset that a run read, with tags on the reading (``mlflow.data.context``)."""

    dataset: Dataset
    tags: dict[str, str] = {}


class ModelLink(msgspec.Struct, frozen=True):
    """A logged model that a run read or made, at a step."""

    model_id: str
    role: Role
    step: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its facts, and of each metric the latest value."""

    id: RunId
    experiment_id: str
    name: str
    status: Status
    start_ms: int
    artifact_uri: str
    user: str = ""
    end_ms: int | None = None
    state: State = "active"
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: tuple[Point, ...] = ()
    datasets: tuple[DatasetInput, ...] = ()
    models: tuple[ModelLink, ...] = ()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one call logs to a run: all of it is stored, or nothing.

    ``series`` are metrics with many points, each in order; no other point is of such a metric.
    ``model_points`` belong to a logged model too: each with the model, dataset name and digest.
    """

    points: tuple[Point, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    model_points: tuple[ModelPoint, ...] = ()
    series: Mapping[str, Columns] = {}

    @property
    def size(self) -> int:
        """How many points there are in all."""
        return len(self.points) + sum(len(columns.steps) for columns in self.series.values())


class ModelPoint(NamedTuple):
    """A metric value of a logged model, measured by a run, perhaps on a dataset."""

    model_id: str
    point: Point
    run_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a run logged, before anyone registers it."""

    id: str
    experiment_id: str
    name: str
    artifact_uri: str
    created_ms: int
    updated_ms: int
    status: ModelStatus = "PENDING"
    status_message: str = ""
    model_type: str = ""
    run_id: str = ""
    state: State = "active"
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: tuple[ModelPoint, ...] = ()


class ArtifactFile(msgspec.Struct, frozen=True):
    """An entry of a folder: a file with its size, or a folder."""

    name: str
    is_folder: bool
    size_bytes: int = 0
    digest: str = ""
