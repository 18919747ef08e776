"""The artifact tree and logged models over REST."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final
from urllib.parse import quote

import msgspec

from mainspring._entrypoints._http import Request, Response
from mainspring._entrypoints._http.routing import Permission
from mainspring._entrypoints.api.operations import CREATED, Operation, body, listing, query, reply
from mainspring.core.pages import Page
from mainspring.tracking import LoggedModel, Tracking
from mainspring.tracking.types import ArtifactFile

READ: Permission = ("runs", "read")
WRITE: Permission = ("runs", "write")
_CHUNK_BYTES: Final = 256 * 1024
_WHOLE_BYTES: Final = 1 << 20
_UPLOAD_LIMIT_BYTES: Final = 1 << 40


class FolderQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which folder; with ``deep`` every file below it, by its path from there."""

    folder: str = ""
    deep: bool = False


class NamedFile(msgspec.Struct):
    """A file or folder, and its path from the folder that was asked."""

    path: str
    entry: ArtifactFile


class NewLoggedModel(msgspec.Struct, forbid_unknown_fields=True):
    """A model that a run made. With a ``model_id`` of one's own the call may be repeated."""

    experiment_id: str = "0"
    name: str = ""
    model_type: str = ""
    run_id: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    model_id: str = ""


class LoggedModelChange(msgspec.Struct, forbid_unknown_fields=True):
    """READY once its files are there, or UPLOAD_FAILED and why."""

    status: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ArtifactOperations:
    """The operations on artifacts and logged models."""

    tracking: Tracking

    def operations(self) -> list[Operation]:
        one = "/logged-models/{model_id}"
        return [
            Operation(
                method="GET", path="/artifacts", handler=self.entries, permission=READ,
                summary="A folder of the artifact tree.", asks=FolderQuery, gives=NamedFile,
                lists=True,
            ),
            Operation(
                method="GET", path="/artifacts/{path*}", handler=self.download, permission=READ,
                summary="The bytes of an artifact.",
            ),
            Operation(
                method="PUT", path="/artifacts/{path*}", handler=self.upload, permission=WRITE,
                summary="Stores an artifact, whole or not at all.", gives=ArtifactFile,
                body_limit_bytes=_UPLOAD_LIMIT_BYTES, streams=True,
            ),
            Operation(
                method="POST", path="/logged-models", handler=self.make, permission=WRITE,
                summary="A model that a run made, PENDING.",
                takes=NewLoggedModel, gives=LoggedModel, status=CREATED,
            ),
            Operation(
                method="GET", path=one, handler=self.get, permission=READ,
                summary="One logged model.", gives=LoggedModel,
            ),
            Operation(
                method="PATCH", path=one, handler=self.finish, permission=WRITE,
                summary="The model with a status.", takes=LoggedModelChange, gives=LoggedModel,
            ),
        ]  # fmt: skip

    def entries(self, request: Request) -> Response:
        asked = query(request, FolderQuery)
        if asked.deep:
            found = self.tracking.artifacts.tree(asked.folder)
        else:
            found = [(one.name, one) for one in self.tracking.artifacts.entries(asked.folder)]
        return listing(request, Page(tuple(NamedFile(path, entry) for path, entry in found)))

    def upload(self, request: Request) -> Response:
        stored = self.tracking.artifacts.put(request.params["path"], request.chunks)
        return reply(request, stored)

    def download(self, request: Request) -> Response:
        entry, stream = self.tracking.artifacts.open(request.params["path"])
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

    def make(self, request: Request) -> Response:
        new = body(request, NewLoggedModel)
        made = self.tracking.models.create(
            new.experiment_id,
            name=new.name,
            model_type=new.model_type,
            run_id=new.run_id,
            params=new.params,
            tags=new.tags,
            model_id=new.model_id,
            actor=request.actor,
        )
        return reply(request, made, CREATED)

    def get(self, request: Request) -> Response:
        return reply(request, self.tracking.models.get(request.params["model_id"]))

    def finish(self, request: Request) -> Response:
        change = body(request, LoggedModelChange)
        found = self.tracking.models.finish(
            request.params["model_id"], change.status, change.message
        )
        return reply(request, found)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
