"""Experiments, runs, artifacts and logged models of a server, as training code uses them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

import msgspec

from mainspring._adapters.remote.wire import Wire
from mainspring.core.actor import Actor
from mainspring.core.ids import RunId
from mainspring.core.pages import Page
from mainspring.tracking.columns import MEDIA_TYPE, Columns, unpack
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
    View,
)

_SPOOLED_BYTES: Final = 8 << 20
_MOST_POINTS: Final = 50_000  # the server takes no more at once
Series = dict[str, list[Point]]


class _Experiments(msgspec.Struct):
    items: tuple[Experiment, ...]
    next_token: str | None = None


class _Runs(msgspec.Struct):
    items: tuple[Run, ...]
    next_token: str | None = None


class _Named(msgspec.Struct):
    path: str
    entry: ArtifactFile


class _Files(msgspec.Struct):
    items: tuple[_Named, ...]


@dataclass(frozen=True, slots=True)
class RemoteExperiments:
    """Experiments of a server."""

    wire: Wire

    def ensure(self, name: str) -> Experiment:
        """The live experiment of this name, made when there is none."""
        return self.wire.send(
            Experiment, "POST", "experiments", body={"name": name, "exists_ok": True}
        )

    def named(self, name: str) -> Experiment:
        """The experiment of this name. Errors: ``tracking.experiment_not_found``."""
        return self.wire.get(Experiment, "experiment-names", name)

    def get(self, experiment_id: str) -> Experiment:
        """The experiment, live or deleted."""
        return self.wire.get(Experiment, "experiments", experiment_id)

    def create(
        self, name: str, *, tags: Mapping[str, str] | None = None, actor: Actor | None = None
    ) -> Experiment:
        """A new experiment. Errors: ``tracking.experiment_exists``."""
        del actor  # the server knows the caller by the token
        body = {"name": name, "tags": dict(tags or {})}
        return self.wire.send(Experiment, "POST", "experiments", body=body)

    def rename(self, experiment_id: str, name: str, *, actor: Actor | None = None) -> Experiment:
        """The experiment under another name."""
        del actor
        return self.wire.send(
            Experiment, "PATCH", "experiments", experiment_id, body={"name": name}
        )

    def tag(
        self, experiment_id: str, tags: Mapping[str, str], *, actor: Actor | None = None
    ) -> Experiment:
        """The experiment with these tags set, beside those it has."""
        del actor
        body = {"tags": dict(tags)}
        return self.wire.send(Experiment, "PATCH", "experiments", experiment_id, body=body)

    def delete(self, experiment_id: str, *, actor: Actor | None = None) -> None:
        """Takes the experiment and its runs out of sight."""
        del actor
        self.wire.send(dict, "DELETE", "experiments", experiment_id)

    def restore(self, experiment_id: str, *, actor: Actor | None = None) -> None:
        """Brings the experiment and its runs back."""
        del actor
        self.wire.send(dict, "POST", "experiments", experiment_id, "restore", body={})

    def search(
        self,
        text: str = "",
        *,
        order_by: Sequence[str] = (),
        view: View = "active",
        limit: int = 1000,
        token: str | None = None,
    ) -> Page[Experiment]:
        """Experiments that match."""
        found = self.wire.get(
            _Experiments,
            "experiments",
            filter=text,
            order_by=tuple(order_by),
            view=view,
            limit=limit,
            token=token,
        )
        return Page(found.items, found.next_token)


@dataclass(frozen=True, slots=True)
class RemoteRuns:
    """Runs of a server. Every call may be repeated."""

    wire: Wire

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
        new = {
            "experiment_id": experiment_id,
            "name": name,
            "user": user,
            "start_ms": start_ms,
            "tags": dict(tags or {}),
            "run_id": run_id,
        }
        return self.wire.send(Run, "POST", "runs", body=new)

    def get(self, run_id: str) -> Run:
        """The whole run, live or deleted. Errors: ``tracking.run_not_found``."""
        return self.wire.get(Run, "runs", run_id)

    def update(
        self,
        run_id: str,
        *,
        status: Status | None = None,
        end_ms: int | None = None,
        name: str | None = None,
    ) -> Future[Run]:
        """The run with another status, end or name."""
        change = {"status": status, "end_ms": end_ms, "name": name}
        body = {key: value for key, value in change.items() if value is not None}
        return _done(self.wire.send(Run, "PATCH", "runs", run_id, body=body))

    def delete(self, run_id: str, *, actor: Actor | None = None) -> None:
        """Takes a run out of sight."""
        del actor  # the server knows the caller by the token
        self.wire.send(dict, "DELETE", "runs", run_id)

    def restore(self, run_id: str, *, actor: Actor | None = None) -> None:
        """Brings a deleted run back."""
        del actor
        self.wire.send(dict, "POST", "runs", run_id, "restore", body={})

    def log(self, run_id: str, batch: Batch, *, most_points: int = 0) -> Future[Any]:
        """Resolves once the whole batch is durable. ``most_points`` is the server's to say."""
        del most_points
        points = [*batch.points]
        for key, columns in batch.series.items():
            points += columns.points(key)
        for start in range(0, max(len(points), 1), _MOST_POINTS):
            first = start == 0
            body = {
                "points": points[start : start + _MOST_POINTS],
                "params": batch.params if first else (),
                "tags": batch.tags if first else (),
            }
            self.wire.send(dict, "POST", "runs", run_id, "records", body=body)
        return _done(None)

    def link(
        self,
        run_id: str,
        *,
        datasets: Sequence[DatasetInput] = (),
        models: Sequence[ModelLink] = (),
    ) -> None:
        """Notes what a run read and made."""
        body = {"datasets": list(datasets), "models": list(models)}
        self.wire.send(dict, "POST", "runs", run_id, "inputs", body=body)

    def untag(self, run_id: str, key: str) -> None:
        """Removes a tag. Errors: ``tracking.tag_not_found``."""
        self.wire.send(dict, "DELETE", "runs", run_id, "tags", key)

    def search(
        self,
        experiment_ids: Sequence[str],
        text: str = "",
        *,
        order_by: Sequence[str] = (),
        view: View = "active",
        limit: int = 1000,
        token: str | None = None,
    ) -> Page[Run]:
        """Runs that match, in order."""
        found = self.wire.get(
            _Runs,
            "runs",
            experiment=tuple(experiment_ids),
            filter=text,
            order_by=tuple(order_by),
            view=view,
            limit=limit,
            token=token,
        )
        return Page(found.items, found.next_token)

    def history(
        self, run_id: str, key: str, *, limit: int = 100_000, token: str | None = None
    ) -> Page[Point]:
        """A metric's points by time and step."""
        found, more = self.columns(run_id, key, limit=limit, token=token)
        return Page(found.points(key), more)

    def columns(
        self, run_id: str, key: str, *, limit: int = 100_000, token: str | None = None
    ) -> tuple[Columns, str | None]:
        """A metric's points in columns, and the token of the next page."""
        data, more = self.wire.get_as(
            MEDIA_TYPE, "runs", run_id, "metrics", key, limit=limit, token=token
        )
        return unpack(data), more

    def seen(self, run_ids: Sequence[str]) -> None:
        """Notes a sign of life of runs."""
        self.wire.send(dict, "POST", "signs-of-life", body={"run_ids": list(run_ids)})

    def end_lost(self) -> list[str]:
        """Nothing: the server looks after its runs by itself."""
        return []


@dataclass(frozen=True, slots=True)
class RemoteArtifacts:
    """The artifact tree of a server."""

    wire: Wire

    def put(self, path: str, chunks: bytes | Iterable[bytes]) -> ArtifactFile:
        """The file, stored whole or not at all."""
        return self.wire.upload(ArtifactFile, chunks, "artifacts", path)

    def entries(self, folder: str) -> list[ArtifactFile]:
        """A folder's entries by name."""
        return [one.entry for one in self.wire.get(_Files, "artifacts", folder=folder).items]

    def tree(self, folder: str) -> list[tuple[str, ArtifactFile]]:
        """All files below a folder, each with its path from there."""
        found = self.wire.get(_Files, "artifacts", folder=folder, deep="true")
        return [(one.path, one.entry) for one in found.items]

    def open(self, path: str) -> tuple[ArtifactFile, BinaryIO]:
        """The file at a path with a stream of its bytes; the caller closes it."""
        stream = tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES)  # noqa: SIM115 - the caller's
        size = 0
        for block in self.wire.stream("artifacts", path):
            stream.write(block)
            size += len(block)
        stream.seek(0)
        entry = ArtifactFile(path.rpartition("/")[2], is_folder=False, size_bytes=size)
        return entry, cast("BinaryIO", stream)


@dataclass(frozen=True, slots=True)
class RemoteLoggedModels:
    """Logged models of a server."""

    wire: Wire

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
        new = {
            "experiment_id": experiment_id,
            "name": name,
            "model_type": model_type,
            "run_id": run_id,
            "params": dict(params or {}),
            "tags": dict(tags or {}),
            "model_id": model_id,
        }
        return self.wire.send(LoggedModel, "POST", "logged-models", body=new)

    def get(self, model_id: str) -> LoggedModel:
        """The live model. Errors: ``tracking.model_not_found``."""
        return self.wire.get(LoggedModel, "logged-models", model_id)

    def finish(self, model_id: str, status: str, message: str = "") -> LoggedModel:
        """The model with a status."""
        body = {"status": status, "message": message}
        return self.wire.send(LoggedModel, "PATCH", "logged-models", model_id, body=body)


@dataclass(frozen=True, slots=True)
class RemoteCharts:
    """Thinned series of a server."""

    wire: Wire

    def series(self, run_ids: Sequence[str], key: str, *, most_steps: int = 2500) -> Series:
        """For each run its points at the same, evenly spread steps."""
        return self.wire.get(Series, "series", run=tuple(run_ids), metric=key, most=most_steps)


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
