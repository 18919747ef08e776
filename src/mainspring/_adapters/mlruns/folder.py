"""Runs, metrics, artifacts and models as MLflow's file store lays them out.

::

    <experiment>/meta.yaml, tags/<key>
    <experiment>/<run>/meta.yaml, params/<key>, tags/<key>, metrics/<key>, artifacts/...
    <experiment>/models/m-<id>/meta.yaml, params/, tags/, artifacts/
    models/<name>/meta.yaml, tags/<key>, aliases/<alias>, version-<n>/meta.yaml, version-<n>/tags/

A file of a metric holds lines ``time value step``. Links are not followed: a folder to import may
come from anyone. Source: mlflow/store/tracking/file_store.py and model_registry/file_store.py.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from mainspring._adapters.mlruns.flat_yaml import parse_flat
from mainspring._adapters.mlruns.links import dataset, measured, model_link, read_dataset
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.ids import RunId
from mainspring.registry.intake import ForeignModel, ForeignVersion
from mainspring.tracking.origin import Files
from mainspring.tracking.types import (
    STATUSES,
    Experiment,
    LoggedModel,
    ModelStatus,
    Point,
    Run,
    Status,
)

_STATUSES: Final[dict[str, Status]] = {
    "1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED",
}  # fmt: skip
_MODEL_STATUSES: Final[dict[str, ModelStatus]] = {
    "1": "PENDING", "2": "READY", "3": "UPLOAD_FAILED",
}  # fmt: skip
_NO_RUNS: Final = frozenset({"models", "datasets", "traces", "tags"})
_META: Final = "meta.yaml"
_BLOCK_BYTES: Final = 1 << 20
_MOST_TEXT_BYTES: Final = 1 << 24


class MlrunsFolder:
    """A file store's folder as an origin; its registry too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.name = str(self._folder)
        if not any(path.joinpath(_META).is_file() for path in _folders(self._folder)):
            raise NotFound(
                "tracking.not_mlruns",
                f"There are no MLflow runs in {str(folder)!r}.",
                hint="Name the folder that MLflow calls 'mlruns'.",
                folder=str(folder),
            )

    def experiments(self) -> Iterator[Experiment]:
        for folder in _folders(self._folder):
            if not folder.joinpath(_META).is_file() or folder.name == "models":
                continue
            meta = _meta(folder)
            if meta.get("lifecycle_stage") == "deleted":
                continue
            yield Experiment(
                id=folder.name,
                name=meta.get("name") or folder.name,
                artifact_uri=meta.get("artifact_location") or "",
                created_ms=_number(meta.get("creation_time")),
                updated_ms=_number(meta.get("last_update_time")),
                tags=_texts(folder / "tags"),
            )

    def runs(self, experiment: Experiment) -> Iterator[Run]:
        place = self._folder / experiment.id
        known = {one.name: dataset(_text(one / _META)) for one in _linked(place / "datasets")}
        found = []
        for run in self._runs(experiment.id):
            if run.state == "active":
                inputs = [_text(one / _META) for one in _linked(place / run.id / "inputs")]
                outputs = [_text(one / _META) for one in _linked(place / run.id / "outputs")]
                read = (read_dataset(link, known) for link in inputs)
                models = (model_link(link) for link in (*inputs, *outputs))
                found.append(
                    replace(
                        run,
                        datasets=tuple(one for one in read if one),
                        models=tuple(one for one in models if one),
                    )
                )
        yield from sorted(found, key=lambda run: (run.start_ms, run.id))

    def left_out(self) -> Iterator[tuple[str, str]]:
        for folder in (*_folders(self._folder), *_folders(self._folder / ".trash")):
            if not folder.joinpath(_META).is_file() or folder.name == "models":
                continue
            meta = _meta(folder)
            where = f"experiment {meta.get('name') or folder.name}"
            if folder.parent != self._folder or meta.get("lifecycle_stage") == "deleted":
                yield where, "left out: it was deleted there"
                continue
            deleted = sum(run.state == "deleted" for run in self._runs(folder.name))
            if deleted:
                yield where, f"deleted runs left out: {deleted}"
            if _folders(folder / "traces"):
                yield where, "left out its traces"

    def _runs(self, experiment_id: str) -> Iterator[Run]:
        for folder in _folders(self._folder / experiment_id):
            if folder.name not in _NO_RUNS and folder.joinpath(_META).is_file():
                yield _run(folder, experiment_id)

    def history(self, run: Run, key: str) -> Iterator[Point]:
        path = self._folder / run.experiment_id / run.id / "metrics" / key
        for number, line in enumerate(_text(path).splitlines(), start=1):
            time_ms, value, step, *_ = (*line.split(), "", "", "")
            try:
                yield Point(key, float(value), int(step or 0), int(time_ms))
            except ValueError as error:
                raise Invalid(
                    "tracking.origin_unreadable",
                    f"Line {number} of the metric {key!r} of run {run.id} is no point.",
                    hint="Mend or remove the line, then import again.",
                ) from error

    def files(self, run: Run) -> Files:
        return _files(self._folder / run.experiment_id / run.id / "artifacts")

    def models(self, experiment: Experiment) -> Iterator[LoggedModel]:
        for folder in _folders(self._folder / experiment.id / "models"):
            meta = _meta(folder)
            if meta.get("lifecycle_stage") == "deleted":
                continue
            yield LoggedModel(
                id=folder.name,
                experiment_id=experiment.id,
                name=meta.get("name") or folder.name,
                artifact_uri=meta.get("artifact_location") or "",
                created_ms=_number(meta.get("creation_timestamp")),
                updated_ms=_number(meta.get("last_updated_timestamp")),
                status=_MODEL_STATUSES.get(str(meta.get("status")), "READY"),
                model_type=meta.get("model_type") or "",
                run_id=meta.get("source_run_id") or "",
                params=_texts(folder / "params"),
                tags=_texts(folder / "tags"),
                metrics=tuple(
                    point
                    for key, text in _texts(folder / "metrics").items()
                    for point in measured(folder.name, key, text)
                ),
            )

    def model_files(self, model: LoggedModel) -> Files:
        return _files(self._folder / model.experiment_id / "models" / model.id / "artifacts")

    def registered(self) -> Iterator[ForeignModel]:
        """The models of the file registry beside the runs."""
        for folder in _folders(self._folder / "models"):
            meta = _meta(folder)
            versions = (path for path in _folders(folder) if path.name.startswith("version-"))
            yield ForeignModel(
                name=meta.get("name") or folder.name,
                description=meta.get("description") or "",
                tags=_texts(folder / "tags"),
                aliases={
                    alias: _number(text) for alias, text in _texts(folder / "aliases").items()
                },
                versions=tuple(self._version(path) for path in versions),
            )

    def _version(self, folder: Path) -> ForeignVersion:
        meta = _meta(folder)
        return ForeignVersion(
            number=int(folder.name.removeprefix("version-")),
            source=self._source(meta.get("source") or meta.get("storage_location") or ""),
            stage=meta.get("current_stage") or "None",
            run_id=meta.get("run_id") or "",
            logged_model_id=meta.get("model_id") or "",
            description=meta.get("description") or "",
            created_by=meta.get("user_id") or "",
            tags=_texts(folder / "tags"),
        )

    def _source(self, source: str) -> str:
        """A source as it reads after the import: paths into this folder name the run or model."""
        path = source.removeprefix("file://").split("/")
        for at, part in enumerate(path):
            if part.startswith("m-") and path[at - 1 : at] == ["models"]:
                return f"models:/{part}"
            if path[at + 1 : at + 2] == ["artifacts"] and self._is_run(part):
                return "/".join([f"runs:/{part}", *path[at + 2 :]])
        return source

    def _is_run(self, name: str) -> bool:
        return any(folder.joinpath(name, _META).is_file() for folder in _folders(self._folder))


def _run(folder: Path, experiment_id: str) -> Run:
    meta = _meta(folder)
    status = str(meta.get("status"))
    named = next((one for one in STATUSES if one == status), None)
    metrics = folder / "metrics"
    keys = [path.relative_to(metrics).as_posix() for path in _plain(metrics)]
    end = meta.get("end_time")
    return Run(
        id=RunId(folder.name),
        experiment_id=experiment_id,
        name=meta.get("run_name") or "",
        status=named or _STATUSES.get(status, "FINISHED"),
        start_ms=_number(meta.get("start_time")),
        end_ms=None if end is None else _number(end),
        artifact_uri=meta.get("artifact_uri") or "",
        user=meta.get("user_id") or "",
        state="deleted" if meta.get("lifecycle_stage") == "deleted" else "active",
        params=_texts(folder / "params"),
        tags=_texts(folder / "tags"),
        metrics=tuple(Point(key, 0.0, 0, 0) for key in keys),
    )


def _linked(folder: Path) -> list[Path]:
    return [path for path in _folders(folder) if path.joinpath(_META).is_file()]


def _meta(folder: Path) -> dict[str, str | None]:
    return parse_flat(_text(folder / _META))


def _texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): _text(path) for path in _plain(folder)}


def _files(folder: Path) -> Files:
    for path in _plain(folder):
        yield path.relative_to(folder).as_posix(), partial(_blocks, path)


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in found if stat.S_ISDIR(path.lstat().st_mode))


def _plain(folder: Path) -> Iterator[Path]:
    """The regular files below a folder, by name; links and devices are not followed."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parents
        if stat.S_ISREG(path.lstat().st_mode) and not any(
            folder.joinpath(part).is_symlink() for part in inside
        ):
            yield path


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_TEXT_BYTES).decode("utf-8", "replace")


def _blocks(path: Path) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _number(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0
