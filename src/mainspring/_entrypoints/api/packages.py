"""Packages over REST: a version as one portable file, in and out; its bytes checked; differences."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final
from urllib.parse import quote

import msgspec

from mainspring._entrypoints._http import FilePart, Request, Response
from mainspring._entrypoints._http.routing import Permission
from mainspring._entrypoints.api.operations import CREATED, Operation, query, reply
from mainspring._entrypoints.api.versions import version_number
from mainspring.core.errors import Unavailable
from mainspring.registry import Registry
from mainspring.registry.archive import CHUNK_BYTES, MAX_ARCHIVE_BYTES
from mainspring.registry.diff import Difference
from mainspring.registry.packages import Verification
from mainspring.registry.types import Because, Version

READ: Permission = ("models", "read")
WRITE: Permission = ("models", "write")
_IN_MEMORY_BYTES: Final = 1 << 20
_DIRECTORY_BYTES: Final = 1 << 20


class ArchiveQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Under which model's name (the archive's own unless given), and why."""

    name: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class PackageOperations:
    """The operations on packages."""

    registry: Registry

    def operations(self) -> list[Operation]:
        one = "/models/{name}/versions/{number}"
        return [
            Operation(
                method="GET", path=f"{one}/archive", handler=self.export, permission=READ,
                summary="The version as one portable file.", binary="application/zip",
            ),
            Operation(
                method="PUT", path="/model-archives", handler=self.load, permission=WRITE,
                summary="Registers the version that a portable file holds; the same file again is "
                "the same version.",
                gives=Version, asks=ArchiveQuery, status=CREATED, streams=True,
                body_limit_bytes=MAX_ARCHIVE_BYTES + _DIRECTORY_BYTES,
            ),
            Operation(
                method="GET", path=f"{one}/verification", handler=self.verify, permission=READ,
                summary="Every stored byte of the version checked again.", gives=Verification,
            ),
            Operation(
                method="GET", path=f"{one}/differences/{{other}}", handler=self.differ,
                permission=READ, summary="What differs from one version to another.",
                gives=list[Difference],
            ),
        ]  # fmt: skip

    def export(self, request: Request) -> Response:
        name, number = request.params["name"], version_number(request.params["number"])
        with _aside() as archive:
            version = self.registry.transfers.export(name, number, archive, _because(request))
            size_bytes = archive.tell()
            archive.seek(0)
            file = quote(f"{version.name}-{version.number}.zip", safe="")
            headers = [
                ("content-type", "application/zip"),
                ("content-disposition", f"attachment; filename*=UTF-8''{file}"),
            ]
            if size_bytes <= _IN_MEMORY_BYTES:
                return Response(200, headers, archive.read())
            return self._large(archive, size_bytes, headers)

    def _large(
        self, archive: BinaryIO, size_bytes: int, headers: list[tuple[str, str]]
    ) -> Response:
        """From a plain file, as fast as the client reads it; ``gc`` frees the file later."""
        objects = self.registry.packages.objects
        stream = objects.open(objects.put(_blocks(archive)))
        headers.append(("content-length", str(size_bytes)))
        place = getattr(stream, "name", None)
        if not isinstance(place, str):
            return Response(200, headers, _blocks(stream))
        stream.close()
        return Response(200, headers, FilePart(place, 0, size_bytes))

    def load(self, request: Request) -> Response:
        asked = query(request, ArchiveQuery)
        with _aside() as archive:
            for chunk in request.chunks:
                archive.write(chunk)
            archive.seek(0)
            version = self.registry.transfers.load(
                archive, name=asked.name, because=_because(request, asked.why)
            )
        return reply(request, version, CREATED)

    def verify(self, request: Request) -> Response:
        name, number = request.params["name"], version_number(request.params["number"])
        return reply(request, self.registry.packages.verify(name, number))

    def differ(self, request: Request) -> Response:
        name = request.params["name"]
        number, other = (version_number(request.params[one]) for one in ("number", "other"))
        return reply(request, self.registry.packages.diff(name, number, other))


@contextmanager
def _aside() -> Iterator[BinaryIO]:
    """A file for an archive on its way. Errors: ``http.no_room``."""
    try:
        with tempfile.TemporaryFile() as file:
            yield file
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise Unavailable(
            "http.no_room",
            "The server has no room for temporary files.",
            hint="Free some space in its TMPDIR, then ask again.",
        ) from error


def _because(request: Request, why: str = "") -> Because:
    return Because(why=why, actor=request.actor)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while block := stream.read(CHUNK_BYTES):
            yield block
