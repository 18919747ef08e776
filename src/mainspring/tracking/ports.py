"""What the tracking stage needs of a database.

Every method works inside the caller's transaction or snapshot and announces nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from mainspring.ports.database import Reader, Transaction
from mainspring.tracking.columns import Columns
from mainspring.tracking.filters import Clause, Order
from mainspring.tracking.types import (
    ArtifactFile,
    Batch,
    DatasetInput,
    Experiment,
    LoggedModel,
    ModelLink,
    ModelPoint,
    Run,
    State,
    View,
)


class Place(msgspec.Struct, frozen=True):
    """Where a run's rows are: found once per call, then used by every statement."""

    number: int
    run_id: str
    experiment: int
    shelf: int
    start_ms: int
    state: State


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs, in which order, after which sort key."""

    experiment_ids: tuple[str, ...]
    clauses: tuple[Clause, ...] = ()
    orders: tuple[Order, ...] = ()
    view: View = "active"
    limit: int = 1000
    after: tuple[Any, ...] | None = None


class Hit(msgspec.Struct, frozen=True):
    """A run that a search found, with its sort key."""

    number: int
    key: tuple[Any, ...]


class ExperimentStore(Protocol):
    """Rows of experiments."""

    def add(self, tx: Transaction, experiment: Experiment, root: str) -> Experiment:
        """The experiment with its identifier; a location under ``root`` when it has none.

        Errors: ``tracking.experiment_exists``, also when the one of this name is deleted.
        """
        ...

    def find(self, reader: Reader, experiment_id: str) -> Experiment | None:
        """The experiment, live or deleted."""
        ...

    def named(self, reader: Reader, name: str) -> Experiment | None:
        """The experiment of this name, live or deleted."""
        ...

    def save(self, tx: Transaction, experiment: Experiment) -> None:
        """Stores all fields. Errors: ``tracking.experiment_exists`` for a taken name."""
        ...

    def all(self, reader: Reader, view: View) -> list[Experiment]:
        """Every experiment in view."""
        ...

    def revive_runs(self, tx: Transaction, experiment_id: str) -> None:
        """Brings back all deleted runs of an experiment, in a fixed number of statements."""
        ...

    def make_secret(self, tx: Transaction) -> None:
        """Makes what this database's page tokens are signed with, unless it is there."""
        ...

    def secret(self, reader: Reader) -> bytes:
        """What this database's page tokens are signed with."""
        ...


class RunStore(Protocol):
    """Rows of runs and what was logged to them.

    The number of statements of each method does not depend on how much is logged or how many
    runs there are, but for new names of metrics, parameters and tags, and for a few statements
    that pack points once a thousand have come.
    """

    def add(self, tx: Transaction, run: Run) -> Mapping[str, int]:
        """Stores a new run of an experiment that exists; what it found out about names."""
        ...

    def place(self, reader: Reader, run_id: str) -> Place | None:
        """Where the run's rows are; its state counts its experiment's in."""
        ...

    def save(self, tx: Transaction, place: Place, run: Run, was: Run) -> None:
        """Stores status, end and state, and name, tags and params where they differ from ``was``."""
        ...

    def log(self, tx: Transaction, place: Place, batch: Batch) -> Mapping[str, int]:
        """Stores a batch; what it found out about names, for :meth:`learn` once it is durable.

        An exact duplicate of a point changes nothing.
        Errors: ``tracking.param_changed`` when a parameter has another value already.
        """
        ...

    def untag(self, tx: Transaction, place: Place, key: str) -> bool:
        """Removes a tag; False when there was none."""
        ...

    def link(
        self,
        tx: Transaction,
        place: Place,
        *,
        datasets: Sequence[DatasetInput] = (),
        models: Sequence[ModelLink] = (),
    ) -> None:
        """Ties datasets and models to a run; what is tied already stays as it is."""
        ...

    def load(self, reader: Reader, numbers: Sequence[int], *, whole: bool = True) -> list[Run]:
        """Runs in the order asked for; without metrics, datasets and models unless ``whole``."""
        ...

    def search(self, reader: Reader, query: RunQuery) -> list[Hit]:
        """The first ``limit`` runs that match, in order."""
        ...

    def history(
        self, reader: Reader, place: Place, key: str, *, after: Sequence[Any] | None, limit: int
    ) -> Columns:
        """Points of a metric by time, step and value, after the given one of those."""
        ...

    def seen(self, tx: Transaction, run_ids: Sequence[str], now_ms: int) -> None:
        """Notes a sign of life of runs that have not ended."""
        ...

    def silent(self, reader: Reader, before_ms: int) -> list[str]:
        """Runs that once gave signs of life, have not ended, and gave none since."""
        ...

    def learn(self, names: Mapping[str, int]) -> None:
        """Keeps what a durable transaction found out about names, to save looking again."""
        ...


class ModelStore(Protocol):
    """Rows of logged models."""

    def save(self, tx: Transaction, model: LoggedModel) -> None:
        """Stores a model, new or changed, without its metrics."""
        ...

    def find(self, reader: Reader, model_id: str) -> LoggedModel | None:
        """The model with its metrics, live or deleted."""
        ...

    def of_experiments(self, reader: Reader, experiment_ids: Iterable[str]) -> list[LoggedModel]:
        """The live models of some experiments with their metrics, newest first."""
        ...

    def measure(self, tx: Transaction, points: Sequence[ModelPoint]) -> None:
        """Stores metric values of models; exact duplicates collapse."""
        ...


class ArtifactStore(Protocol):
    """The tree of artifacts. Paths are names joined by ``/``, without a leading one."""

    def put(self, tx: Transaction, path: str, entry: ArtifactFile, now_ms: int) -> None:
        """Sets a file, and the folders on its way.

        Errors: ``tracking.artifact_conflict`` when a folder stands where the file should be, or a
        file where a folder should.
        """
        ...

    def find(self, reader: Reader, path: str) -> ArtifactFile | None:
        """The file or folder at a path."""
        ...

    def entries(self, reader: Reader, folder: str) -> list[ArtifactFile]:
        """A folder's entries by name."""
        ...

    def remove(self, tx: Transaction, path: str) -> int:
        """Removes a file, or a folder with all in it; how many files went."""
        ...
