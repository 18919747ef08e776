"""What training code reaches of a store, in this process or on a server: the same methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from mainspring.core.ids import RunId
from mainspring.core.pages import Page
from mainspring.tracking.columns import Columns
from mainspring.tracking.types import (
    ArtifactFile,
    Batch,
    DatasetInput,
    Experiment,
    LoggedModel,
    ModelLink,
    Point,
    Run,
    Status,
)


class AnyExperiments(Protocol):
    """Experiments by name and identifier, as :class:`Experiments` has them."""

    def ensure(self, name: str) -> Experiment:
        """The live experiment of this name, made when there is none."""
        ...

    def named(self, name: str) -> Experiment:
        """The experiment of this name. Errors: ``tracking.experiment_not_found``."""
        ...

    def search(self, text: str = "", *, limit: int = 1000) -> Page[Experiment]:
        """Experiments that match."""
        ...


class AnyRuns(Protocol):
    """Runs, as :class:`Runs` has them. Each call may be repeated: twice does what once does."""

    def create(
        self,
        experiment_id: str,
        *,
        name: str = "",
        user: str = "",
        start_ms: int | None = None,
        tags: Mapping[str, str] | None = None,
        run_id: RunId | None = None,
    ) -> Run:
        """A new run, or the one of this ``run_id``."""
        ...

    def get(self, run_id: str) -> Run:
        """The whole run."""
        ...

    def update(
        self,
        run_id: str,
        *,
        status: Status | None = None,
        end_ms: int | None = None,
        name: str | None = None,
    ) -> Future[Run]:
        """The run with another status, end or name."""
        ...

    def log(self, run_id: str, batch: Batch, *, most_points: int) -> Future[Any]:
        """Resolves once the whole batch is durable."""
        ...

    def link(
        self,
        run_id: str,
        *,
        datasets: Sequence[DatasetInput] = (),
        models: Sequence[ModelLink] = (),
    ) -> None:
        """Notes what a run read and made."""
        ...

    def search(
        self,
        experiment_ids: Sequence[str],
        text: str = "",
        *,
        order_by: Sequence[str] = (),
        limit: int = 1000,
        token: str | None = None,
    ) -> Page[Run]:
        """Runs that match, in order."""
        ...

    def history(
        self, run_id: str, key: str, *, limit: int = 100_000, token: str | None = None
    ) -> Page[Point]:
        """A metric's points."""
        ...

    def columns(
        self, run_id: str, key: str, *, limit: int = 100_000, token: str | None = None
    ) -> tuple[Columns, str | None]:
        """A metric's points in columns, and the token of the next page."""
        ...

    def seen(self, run_ids: Sequence[str]) -> None:
        """Notes a sign of life of runs."""
        ...

    def end_lost(self) -> list[str]:
        """Ends the runs that gave signs of life and stopped."""
        ...


class AnyArtifacts(Protocol):
    """The artifact tree, as :class:`Artifacts` has it."""

    def put(self, path: str, chunks: bytes | Iterable[bytes]) -> ArtifactFile:
        """The file, stored whole or not at all."""
        ...


class AnyModels(Protocol):
    """Logged models, as :class:`LoggedModels` has them."""

    def create(
        self,
        experiment_id: str,
        *,
        name: str = "",
        model_type: str = "",
        run_id: str = "",
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        model_id: str = "",
    ) -> LoggedModel:
        """A new model, PENDING; with a ``model_id`` that exists, that model."""
        ...

    def finish(self, model_id: str, status: str, message: str = "") -> LoggedModel:
        """The model with a status."""
        ...
