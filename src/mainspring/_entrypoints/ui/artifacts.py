"""Files of a run: a folder's listing, and downloads that never open in this server's origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final
from urllib.parse import quote

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.ui.rendering import READ_RUNS, one, page
from mainspring.tracking import Run, Tracking
from mainspring.tracking.artifacts import check_path
from mainspring.tracking.types import ArtifactFile

_SCHEME: Final = "mlflow-artifacts:"
_CHUNK_BYTES: Final = 256 * 1024
_WHOLE_BYTES: Final = 1 << 20


def artifact_root(run: Run) -> str | None:
    """Where a run's files are in our tree; None when they are kept elsewhere."""
    if not run.artifact_uri.startswith(_SCHEME):
        return None
    path = run.artifact_uri.removeprefix(_SCHEME)
    if path.startswith("//"):
        path = path[2:].partition("/")[2]
    return check_path(path.strip("/"))


def list_folder(tracking: Tracking, run: Run, folder: str) -> list[ArtifactFile] | None:
    """A folder's entries, folders first; None when the run's files are kept elsewhere."""
    root = artifact_root(run)
    if root is None:
        return None
    check_path(folder, root=True)
    found = tracking.artifacts.entries(f"{root}/{folder}" if folder else root)
    return sorted(found, key=lambda entry: (not entry.is_folder, entry.name))


@dataclass(frozen=True, slots=True)
class ArtifactPages:
    """The handlers of listings and downloads."""

    tracking: Tracking

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/runs/{run_id}/files", self.folder, READ_RUNS),
            Route("GET", "/runs/{run_id}/download", self.download, READ_RUNS),
        ]

    def folder(self, request: Request) -> Response:
        run = self.tracking.runs.get(request.params["run_id"])
        folder = one(request, "path").strip("/")
        parts = folder.split("/") if folder else []
        return page(
            "files.html",
            area="runs",
            run=run,
            folder=folder,
            trail=[(part, "/".join(parts[: at + 1])) for at, part in enumerate(parts)],
            files=list_folder(self.tracking, run, folder),
        )

    def download(self, request: Request) -> Response:
        run = self.tracking.runs.get(request.params["run_id"])
        path = f"{artifact_root(run) or ''}/{one(request, 'path')}"
        entry, stream = self.tracking.artifacts.open(path)
        headers = [
            ("content-type", "application/octet-stream"),
            ("content-disposition", f"attachment; filename*=UTF-8''{quote(entry.name, safe='')}"),
            ("cache-control", "no-store"),
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
