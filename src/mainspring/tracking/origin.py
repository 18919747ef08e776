"""Where runs may come from: a portable file, a folder of MLflow's, a running MLflow server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from mainspring.tracking.types import Experiment, LoggedModel, Point, Run

Bytes = Callable[[], Iterator[bytes]]
Files = Iterator[tuple[str, Bytes]]  # a path below the run or model, and what reads the file


class Origin(Protocol):
    """Runs as another store holds them. Errors: ``tracking.origin_unreadable``, or the transport's.

    Values come as they lie there: whoever takes them in checks them.
    """

    @property
    def name(self) -> str:
        """What the report and the tags call this origin."""
        ...

    def experiments(self) -> Iterator[Experiment]:
        """Every live experiment."""
        ...

    def runs(self, experiment: Experiment) -> Iterator[Run]:
        """Its live runs, oldest first; ``metrics`` names each metric at least once."""
        ...

    def history(self, run: Run, key: str) -> Iterator[Point]:
        """Every point of a metric."""
        ...

    def files(self, run: Run) -> Files:
        """The run's artifacts."""
        ...

    def models(self, experiment: Experiment) -> Iterator[LoggedModel]:
        """Its live logged models."""
        ...

    def model_files(self, model: LoggedModel) -> Files:
        """A logged model's artifacts."""
        ...

    def left_out(self) -> Iterator[tuple[str, str]]:
        """What it holds that nobody asks it for, such as deleted runs: where, and what of it."""
        ...


class Difference(msgspec.Struct, frozen=True):
    """Something that is not here as it was there: where, and what about it."""

    where: str
    what: str


class Taken(msgspec.Struct):
    """What an import did: counts, and everything that differs from the origin."""

    experiments: int = 0
    runs: int = 0
    there_already: int = 0
    points: int = 0
    files: int = 0
    models: int = 0
    registered: int = 0
    versions: int = 0
    differences: list[Difference] = []

    def differs(self, where: str, what: str) -> None:
        """Notes a difference."""
        self.differences.append(Difference(where, what))
