"""Artifacts on the MLflow wire: the proxy that clients upload to, listings, downloads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final
from urllib.parse import quote

import msgspec

from mainspring._entrypoints._http import FilePart, Request, Response, Route
from mainspring._entrypoints.mlflow.reading import need, query
from mainspring._entrypoints.mlflow.routing import MODELS_READ, RUNS_READ, RUNS_WRITE, both
from mainspring._entrypoints.mlflow.runs import One
from mainspring._entrypoints.mlflow.writing import answer, empty
from mainspring.core.digest import Digest
from mainspring.core.errors import Broken, Invalid
from mainspring.registry import Registry
from mainspring.tracking import Tracking
from mainspring.tracking.artifacts import check_path
from mainspring.tracking.types import ArtifactFile

SCHEME: Final = "mlflow-artifacts:"
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII)
_CHUNK_BYTES: Final = 256 * 1024
_WHOLE_BYTES: Final = 1 << 20
_MAX_CHECKED: Final = 100_000
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
    checked: set[Digest] = field(default_factory=set)

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
        return self._download(request.params["path"], request.headers.get("range", ""))

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

    def _download(self, path: str, span: str = "") -> Response:
        entry, stream = self.tracking.artifacts.open(path)
        # Never shown in this server's origin: a page among the artifacts stays a download.
        headers = [
            ("content-type", "application/octet-stream"),
            ("content-disposition", f"attachment; filename*=UTF-8''{quote(entry.name, safe='')}"),
            ("accept-ranges", "bytes"),
        ]
        try:
            wanted = byte_range(span, entry.size_bytes)
        except Invalid:
            stream.close()
            raise
        status, start, length = 200, 0, entry.size_bytes
        if wanted is not None:
            status, (start, end) = 206, wanted
            length = end - start + 1
            headers.append(("content-range", f"bytes {start}-{end}/{entry.size_bytes}"))
            stream.seek(start)
        if length <= _WHOLE_BYTES:
            with stream:
                return Response(status, headers, stream.read(length) if wanted else stream.read())
        headers.append(("content-length", str(length)))
        name = getattr(stream, "name", None)
        if isinstance(name, str):
            stream.close()
            self._check(Digest(entry.digest))
            return Response(status, headers, FilePart(name, start, start + length))
        return Response(status, headers, _chunks(stream, None if wanted is None else length))

    def _check(self, digest: Digest) -> None:
        """Raises ``objects.corrupt`` unless the bytes are whole; reads them all, but only once."""
        if digest in self.checked:
            return
        if not self.tracking.artifacts.objects.verify(digest):
            raise Broken(
                "objects.corrupt",
                f"The bytes stored as {digest} are not those that were put there.",
                hint="Restore the file from a backup, or store the same artifact again.",
                digest=digest,
            )
        if len(self.checked) > _MAX_CHECKED:
            self.checked.clear()
        self.checked.add(digest)


def byte_range(text: str, size_bytes: int) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for; None for all of it.

    Several ranges, and other units, are answered with the whole file, as the standard allows.
    Source: RFC 9110, section 14. Errors: ``http.bad_range`` when there are no such bytes.
    """
    match = _RANGE.match(text)
    if match is None or not (match[1] or match[2]):
        return None
    last = size_bytes - 1
    if not match[1]:
        start, end = max(0, size_bytes - int(match[2])), last
    else:
        start, end = int(match[1]), min(int(match[2] or last), last)
    if start > end:
        raise Invalid(
            "http.bad_range",
            f"There are no such bytes in a file of {size_bytes}.",
            hint="Ask for bytes=FIRST-LAST, counted from 0.",
            size_bytes=size_bytes,
        )
    return start, end


def _chunks(stream: BinaryIO, length: int | None) -> Iterator[bytes]:
    """All that is left, or so many bytes; a whole file is read to its end, which checks it."""
    with stream:
        while chunk := stream.read(_CHUNK_BYTES if length is None else min(_CHUNK_BYTES, length)):
            yield chunk
            if length is not None:
                length -= len(chunk)
