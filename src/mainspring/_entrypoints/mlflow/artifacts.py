"""Artifacts on the MLflow wire: the proxy that clients upload to, listings, downloads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final
from urllib.parse import quote

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.mlflow.reading import need, query
from mainspring._entrypoints.mlflow.routing import MODELS_READ, RUNS_READ, RUNS_WRITE, both
from mainspring._entrypoints.mlflow.runs import One
from mainspring._entrypoints.mlflow.writing import answer, empty
from mainspring.core.errors import Invalid
from mainspring.registry import Registry
from mainspring.tracking import Tracking
from mainspring.tracking.artifacts import check_path
from mainspring.tracking.types import ArtifactFile

SCHEME: Final = "mlflow-artifacts:"
_CHUNK_BYTES: Final = 256 * 1024
_WHOLE_BYTES: Final = 1 << 20
_UPLOAD_LIMIT_BYTES: Final = 1 << 40


class _Path(msgspec.Struct):
    path: str | None = None


class _List(One):
    path: str | None = None


class _OfVersion(msgspec.Struct):
    name: str | None = None
    version: str | None = None
    path: str | None = None


def tree_path(uri: str) -> str:
    """Where in our tree an artifact URI points.

    Errors: ``http.foreign_artifacts`` for a location that is not ours: its client reads it itself.
    """
    if not uri.startswith(SCHEME):
        raise Invalid(
            "http.foreign_artifacts",
            f"The artifacts at {uri[:200]} are not kept by this server.",
            hint="Read them from there.",
        )
    path = uri.removeprefix(SCHEME)
    if path.startswith("//"):
        path = path[2:].partition("/")[2]
    return check_path(path.strip("/"))


def file_infos(entries: list[ArtifactFile], prefix: str = "") -> list[dict[str, Any]]:
    """Entries as the wire lists them; a file of no bytes has a size too."""
    return [
        {"path": f"{prefix}{entry.name}", "is_dir": True}
        if entry.is_folder
        else {"path": f"{prefix}{entry.name}", "is_dir": False, "file_size": entry.size_bytes}
        for entry in entries
    ]


def listing(tracking: Tracking, root_uri: str, path: str | None) -> dict[str, Any]:
    """The entries of a folder below an artifact root, their paths from that root."""
    folder = check_path(path.strip("/"), root=True) if path else ""
    base = tree_path(root_uri)
    entries = tracking.artifacts.entries(f"{base}/{folder}" if folder else base)
    files = file_infos(entries, f"{folder}/" if folder else "")
    return {"root_uri": root_uri, **({"files": files} if files else {})}


@dataclass(frozen=True, slots=True)
class ArtifactRoutes:
    """The handlers of the proxy, of listings and of downloads."""

    tracking: Tracking
    registry: Registry

    def routes(self) -> list[Route]:
        proxy = "/2.0/mlflow-artifacts/artifacts"
        upload: dict[str, Any] = {"streams": True, "body_limit_bytes": _UPLOAD_LIMIT_BYTES}
        return [
            *both("GET", proxy, self.list_proxy, RUNS_READ),
            *both("PUT", f"{proxy}/{{path*}}", self.put, RUNS_WRITE, **upload),
            *both("GET", f"{proxy}/{{path*}}", self.get, RUNS_READ),
            *both("DELETE", f"{proxy}/{{path*}}", self.delete, RUNS_WRITE),
            *both("GET", "/2.0/mlflow/artifacts/list", self.list_run, RUNS_READ),
            Route("GET", "/get-artifact", self.get_of_run, RUNS_READ),
            Route("GET", "/model-versions/get-artifact", self.get_of_version, MODELS_READ),
        ]

    def list_proxy(self, request: Request) -> Response:
        folder = (query(request, _Path).path or "").strip("/")
        files = file_infos(self.tracking.artifacts.entries(folder))
        return answer({"files": files} if files else {})

    def put(self, request: Request) -> Response:
        self.tracking.artifacts.put(request.params["path"], request.chunks)
        return empty()

    def get(self, request: Request) -> Response:
        return self._download(request.params["path"])

    def delete(self, request: Request) -> Response:
        self.tracking.artifacts.remove(request.params["path"])
        return empty()

    def list_run(self, request: Request) -> Response:
        asked = query(request, _List)
        run = self.tracking.runs.get(asked.id)
        return answer(listing(self.tracking, run.artifact_uri, asked.path))

    def get_of_run(self, request: Request) -> Response:
        asked = query(request, _List)
        run = self.tracking.runs.get(asked.id)
        return self._download(f"{tree_path(run.artifact_uri)}/{need(asked.path, 'path')}")

    def get_of_version(self, request: Request) -> Response:
        asked = query(request, _OfVersion)
        number = need(asked.version, "version")
        if not number.isdigit():
            raise Invalid("http.bad_version", f"{number[:40]!r} is not the number of a version.")
        version = self.registry.versions.get(need(asked.name, "name"), int(number))
        return self._download(f"{tree_path(version.source)}/{need(asked.path, 'path')}")

    def _download(self, path: str) -> Response:
        entry, stream = self.tracking.artifacts.open(path)
        # Never shown in this server's origin: a page among the artifacts stays a download.
        headers = [
            ("content-type", "application/octet-stream"),
            ("content-disposition", f"attachment; filename*=UTF-8''{quote(entry.name, safe='')}"),
        ]
        if entry.size_bytes <= _WHOLE_BYTES:
            with stream:
                return Response(200, headers, stream.read())
        headers.append(("content-length", str(entry.size_bytes)))
        return Response(200, headers, _chunks(stream))


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
