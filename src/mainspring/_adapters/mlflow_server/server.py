"""Experiments, runs, histories, artifacts and the registry of an MLflow server, page by page.

Credentials come from the same variables that MLflow's own clients read.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from mainspring.core.errors import Denied, Invalid, NotFound, Unavailable
from mainspring.core.ids import RunId
from mainspring.registry.intake import ForeignModel, ForeignVersion
from mainspring.tracking.origin import Files
from mainspring.tracking.types import (
    Dataset,
    DatasetInput,
    Experiment,
    LoggedModel,
    ModelLink,
    ModelPoint,
    Point,
    Run,
)

_API: Final = "/api/2.0/mlflow"
_FILES: Final = "/api/2.0/mlflow-artifacts/artifacts"
_TRACES: Final = "/api/3.0/mlflow/traces/search"
_OF_PROMPTS: Final = ("prompt-template", "dummy-source")  # no place: a prompt's text is a tag
_SECONDS: Final = 120.0
_PAGE: Final = 500
_POINTS: Final = 25_000
_BLOCK_BYTES: Final = 1 << 20
_STATUS: Final = "LOGGED_MODEL_"


class MlflowServer:
    """A server by its address. Errors: ``tracking.origin_away``, ``tracking.origin_unreadable``."""

    def __init__(self, address: str) -> None:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Invalid(
                "tracking.bad_origin",
                f"{address[:80]!r} is not the address of a server.",
                hint="Write http://HOST:PORT.",
            )
        self._address = address.rstrip("/")
        # Credentials inside an address belong in no report and no tag.
        self.name = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._headers = _credentials(os.environ)

    def experiments(self) -> Iterator[Experiment]:
        for found in self._pages("experiments", "experiments/search", {}):
            yield Experiment(
                id=found["experiment_id"],
                name=found["name"],
                artifact_uri=found.get("artifact_location", ""),
                created_ms=int(found.get("creation_time", 0)),
                updated_ms=int(found.get("last_update_time", 0)),
                tags=_pairs(found.get("tags")),
            )

    def runs(self, experiment: Experiment) -> Iterator[Run]:
        asked = {
            "experiment_ids": [experiment.id],
            "order_by": ["attributes.start_time ASC", "attributes.run_id ASC"],
        }
        for found in self._pages("runs", "runs/search", asked):
            yield _run(found)

    def history(self, run: Run, key: str) -> Iterator[Point]:
        asked = {"run_id": run.id, "metric_key": key, "max_results": str(_POINTS)}
        while True:
            page = self._json("GET", f"{_API}/metrics/get-history", asked)
            yield from map(_point, page.get("metrics", []))
            token = page.get("next_page_token")
            if not token:
                return
            asked["page_token"] = token

    def files(self, run: Run) -> Files:
        yield from self._run_files(run.id, "")

    def models(self, experiment: Experiment) -> Iterator[LoggedModel]:
        asked = {"experiment_ids": [experiment.id], "max_results": 50}
        try:
            yield from map(_model, self._pages("models", "logged-models/search", asked, size=None))
        except NotFound:  # a server before 3.0 has none
            return

    def model_files(self, model: LoggedModel) -> Files:
        prefix, _, path = model.artifact_uri.partition(":")
        if prefix != "mlflow-artifacts":
            return
        path = path[2:].partition("/")[2] if path.startswith("//") else path
        yield from self._proxied(path.strip("/"), "")

    def left_out(self) -> Iterator[tuple[str, str]]:
        deleted = {"view_type": "DELETED_ONLY"}
        for found in self._pages("experiments", "experiments/search", deleted):
            yield f"experiment {found['name']}", "left out: it was deleted there"
        for one in self.experiments():
            where = f"experiment {one.name}"
            asked = {"experiment_ids": [one.id], "run_view_type": "DELETED_ONLY"}
            gone = sum(1 for _ in self._pages("runs", "runs/search", asked))
            if gone:
                yield where, f"deleted runs left out: {gone}"
            if self._has_traces(one.id):
                yield where, "left out its traces"

    def registered(self) -> Iterator[ForeignModel]:
        """The server's registry; prompts, which it tells of only when asked, come last."""
        yield from self._registered("")
        yield from self._registered("tags.`mlflow.prompt.is_prompt` = 'true'")

    # -- inside ---------------------------------------------------------------------------------

    def _has_traces(self, experiment_id: str) -> bool:
        place = {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment_id},
        }
        asked = {"locations": [place], "max_results": 1}
        try:
            return bool(self._json("POST", _TRACES, asked).get("traces"))
        except (NotFound, Invalid):  # a server before 3.0 has none
            return False

    def _registered(self, text: str) -> Iterator[ForeignModel]:
        asked = {"filter": text} if text else {}
        for found in self._pages(
            "registered_models", "registered-models/search", asked, method="GET", size=100
        ):
            name = found["name"]
            quoted = name.replace("'", "''")
            versions = self._pages(
                "model_versions",
                "model-versions/search",
                {"filter": f"name='{quoted}'" + (f" AND {text}" if text else "")},
                method="GET",
                size=1000,
            )
            yield ForeignModel(
                name=name,
                description=found.get("description", ""),
                tags=_pairs(found.get("tags")),
                aliases={one["alias"]: int(one["version"]) for one in found.get("aliases", [])},
                versions=tuple(map(_version, versions)),
            )

    def _run_files(self, run_id: str, folder: str) -> Files:
        asked = {"run_id": run_id, **({"path": folder} if folder else {})}
        for entry in self._json("GET", f"{_API}/artifacts/list", asked).get("files", []):
            if entry.get("is_dir"):
                yield from self._run_files(run_id, entry["path"])
            else:
                query = urllib.parse.urlencode({"run_id": run_id, "path": entry["path"]})
                yield entry["path"], partial(self._blocks, f"/get-artifact?{query}")

    def _proxied(self, root: str, folder: str) -> Files:
        asked = {"path": f"{root}/{folder}".rstrip("/")}
        for entry in self._json("GET", _FILES, asked).get("files", []):
            path = f"{folder}/{entry['path']}".lstrip("/")
            if entry.get("is_dir"):
                yield from self._proxied(root, path)
            else:
                yield (
                    path,
                    partial(self._blocks, f"{_FILES}/{urllib.parse.quote(f'{root}/{path}')}"),
                )

    def _pages(
        self,
        name: str,
        path: str,
        asked: Mapping[str, Any],
        *,
        method: str = "POST",
        size: int | None = _PAGE,
    ) -> Iterator[dict[str, Any]]:
        fields = {**asked, **({} if size is None else {"max_results": size})}
        while True:
            page = self._json(method, f"{_API}/{path}", fields)
            yield from page.get(name, [])
            token = page.get("next_page_token")
            if not token:
                return
            fields["page_token"] = token

    def _json(self, method: str, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        if method == "GET":
            path, body = f"{path}?{urllib.parse.urlencode(fields)}", None
        else:
            body = json.dumps(fields).encode()
        with self._open(method, path, body) as answer:
            try:
                found = json.load(answer)
            except ValueError as error:
                raise _unreadable(path, "it is not JSON") from error
        if not isinstance(found, dict):
            raise _unreadable(path, "it is not a JSON object")
        return found

    def _blocks(self, path: str) -> Iterator[bytes]:
        with self._open("GET", path, None) as answer:
            declared = answer.headers.get("content-length")
            size = 0
            while block := answer.read(_BLOCK_BYTES):
                size += len(block)
                yield block
            if declared is not None and size != int(declared):
                raise _away(self.name, "a download broke off")

    def _open(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {**self._headers, **({"Content-Type": "application/json"} if body else {})}
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._address + path, data=body, headers=headers, method=method
        )
        try:
            return urllib.request.urlopen(request, timeout=_SECONDS)  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(self.name, error.code, path) from error
        except OSError as error:
            raise _away(self.name, str(getattr(error, "reason", error))) from error


def _refused(name: str, status: int, path: str) -> Exception:
    if status in {401, 403}:
        return Denied(
            "tracking.origin_denied",
            f"{name} lets nobody in without credentials.",
            hint="Set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD.",
        )
    if status == 404:  # noqa: PLR2004 - RFC 9110, section 15.5.5
        return NotFound(
            "tracking.origin_not_found",
            f"{name} has nothing at {path[:200]}.",
            hint="Is it an MLflow server?",
        )
    if status >= 500 or status == 429:  # noqa: PLR2004 - may pass
        return _away(name, f"status {status}")
    return _unreadable(path, f"status {status}")


def _away(name: str, why: str) -> Unavailable:
    return Unavailable(
        "tracking.origin_away",
        f"{name} cannot be reached ({why}).",
        hint="Import again once it answers: what was taken already stays.",
    )


def _unreadable(path: str, why: str) -> Invalid:
    return Invalid(
        "tracking.origin_unreadable",
        f"The answer to {path[:200]} cannot be read: {why}.",
        hint="Is it an MLflow server?",
    )


def _credentials(environment: Mapping[str, str]) -> dict[str, str]:
    user = environment.get("MLFLOW_TRACKING_USERNAME")
    password = environment.get("MLFLOW_TRACKING_PASSWORD")
    token = environment.get("MLFLOW_TRACKING_TOKEN")
    if user and password:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _pairs(found: list[dict[str, str]] | None) -> dict[str, str]:
    return {pair["key"]: pair.get("value", "") for pair in found or []}


def _point(found: Mapping[str, Any]) -> Point:
    return Point(
        found["key"],
        float(found.get("value", 0.0)),
        int(found.get("step", 0)),
        int(found.get("timestamp", 0)),
    )


def _run(found: Mapping[str, Any]) -> Run:
    info, data = found["info"], found.get("data", {})
    outputs = found.get("outputs", {}).get("model_outputs", [])
    end = info.get("end_time")
    return Run(
        id=RunId(info.get("run_id") or info["run_uuid"]),
        experiment_id=info["experiment_id"],
        name=info.get("run_name", ""),
        status=info.get("status", "FINISHED"),
        start_ms=int(info.get("start_time", 0)),
        end_ms=None if end is None else int(end),
        artifact_uri=info.get("artifact_uri", ""),
        user=info.get("user_id", ""),
        params=_pairs(data.get("params")),
        tags=_pairs(data.get("tags")),
        metrics=tuple(map(_point, data.get("metrics", []))),
        datasets=tuple(map(_dataset, found.get("inputs", {}).get("dataset_inputs", []))),
        models=tuple(
            ModelLink(one["model_id"], "output", int(one.get("step", 0))) for one in outputs
        ),
    )


def _dataset(found: Mapping[str, Any]) -> DatasetInput:
    fields = found["dataset"]
    names = Dataset.__struct_fields__
    dataset = Dataset(**{name: fields.get(name, "") for name in names})
    return DatasetInput(dataset, _pairs(found.get("tags")))


def _model(found: Mapping[str, Any]) -> LoggedModel:
    info, data = found["info"], found.get("data", {})
    return LoggedModel(
        id=info["model_id"],
        experiment_id=info["experiment_id"],
        name=info.get("name", ""),
        artifact_uri=info.get("artifact_uri", ""),
        created_ms=int(info.get("creation_timestamp_ms", 0)),
        updated_ms=int(info.get("last_updated_timestamp_ms", 0)),
        status=str(info.get("status", "READY")).removeprefix(_STATUS),  # type: ignore[arg-type]
        model_type=info.get("model_type", ""),
        run_id=info.get("source_run_id", ""),
        params=_pairs(data.get("params")),
        tags=_pairs(info.get("tags")),
        metrics=tuple(
            ModelPoint(
                info["model_id"],
                _point(one),
                one.get("run_id", ""),
                one.get("dataset_name", ""),
                one.get("dataset_digest", ""),
            )
            for one in data.get("metrics", [])
        ),
    )


def _version(found: Mapping[str, Any]) -> ForeignVersion:
    return ForeignVersion(
        number=int(found["version"]),
        source=_source(found.get("source", ""), found.get("run_id", "")),
        stage=found.get("current_stage", "None"),
        run_id=found.get("run_id", ""),
        logged_model_id=found.get("model_id", ""),
        description=found.get("description", ""),
        created_by=found.get("user_id", ""),
        tags=_pairs(found.get("tags")),
    )


def _source(source: str, run_id: str) -> str:
    """A source as it reads after the import: paths to artifacts name the run or logged model."""
    if source in _OF_PROMPTS:
        return f"objects:/{source}"
    parts = source.split("/")
    for at, part in enumerate(parts):
        if part.startswith("m-") and parts[at - 1 : at] == ["models"]:
            return f"models:/{part}"
        if part == run_id and run_id and parts[at + 1 : at + 2] == ["artifacts"]:
            return "/".join([f"runs:/{run_id}", *parts[at + 2 :]])
    return source
