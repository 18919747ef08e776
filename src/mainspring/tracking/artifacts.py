"""Use cases on artifacts: a tree of names over content-addressed bytes.

A path exists only as rows: nothing a client sends becomes a path on disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Final

from mainspring.core.digest import Digest
from mainspring.core.errors import NotFound
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Reader
from mainspring.ports.objects import Objects
from mainspring.tracking.limits import bad, hidden
from mainspring.tracking.ports import ArtifactStore
from mainspring.tracking.types import ArtifactFile

MAX_PATH: Final = 2000
MAX_DEPTH: Final = 64


def check_path(path: str, *, root: bool = False) -> str:
    """A path inside the tree. Errors: ``tracking.bad_value`` for anything that could mean another.

    No empty, ``.`` or ``..`` parts, no backslash, no control or direction-changing characters, nothing absolute.
    """
    if root and not path:
        return path
    parts = path.split("/")
    plain = all(part not in {"", ".", ".."} and part.strip() == part for part in parts)
    if (
        not plain
        or any(map(hidden, path))
        or "\\" in path
        or len(path) > MAX_PATH
        or len(parts) > MAX_DEPTH
    ):
        raise bad(
            f"The artifact path {path[:80]!a}",
            "is not plain names joined by '/'",
            "Leave out '..', backslashes and empty parts.",
        )
    return path


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The artifact tree. Bytes are durable before their name is."""

    database: Database
    store: ArtifactStore
    objects: Objects
    clock: Clock

    def put(self, path: str, chunks: bytes | Iterable[bytes]) -> ArtifactFile:
        """The file, stored whole or not at all; an older one under this path is replaced.

        Errors: ``tracking.bad_value``, ``tracking.artifact_conflict``, ``objects.full``.
        """
        check_path(path)
        digest = self.objects.put(chunks)
        size = self.objects.size_bytes(digest)
        entry = ArtifactFile(
            path.rpartition("/")[2], is_folder=False, size_bytes=size, digest=digest
        )
        now_ms = to_micros(self.clock.now()) // 1000
        self.database.write(lambda tx: self.store.put(tx, path, entry, now_ms))
        return entry

    def find(self, path: str) -> ArtifactFile:
        """The file at a path. Errors: ``tracking.artifact_not_found``."""
        check_path(path)
        found = self.database.read(lambda db: self.store.find(db, path))
        if found is None or found.is_folder:
            raise NotFound(
                "tracking.artifact_not_found",
                f"No such artifact: '{path[:200]}'.",
                hint="List the folder to see what there is.",
                path=path[:200],
            )
        return found

    def open(self, path: str) -> tuple[ArtifactFile, BinaryIO]:
        """The file at a path with a stream of its bytes; the caller closes it."""
        found = self.find(path)
        return found, self.objects.open(Digest(found.digest))

    def entries(self, folder: str) -> list[ArtifactFile]:
        """A folder's entries by name; none when there is no such folder."""
        check_path(folder, root=True)
        return self.database.read(lambda db: self.store.entries(db, folder))

    def tree(self, folder: str) -> list[tuple[str, ArtifactFile]]:
        """All files below a folder, each with its path from there."""
        check_path(folder)

        def below(reader: Reader, path: str, prefix: str) -> list[tuple[str, ArtifactFile]]:
            found: list[tuple[str, ArtifactFile]] = []
            for entry in self.store.entries(reader, path):
                name = f"{prefix}{entry.name}"
                if entry.is_folder:
                    found += below(reader, f"{path}/{entry.name}", f"{name}/")
                else:
                    found.append((name, entry))
            return found

        return self.database.read(lambda db: below(db, folder, ""))

    def remove(self, path: str) -> int:
        """Takes a file, or a folder with all in it, out of the tree; how many files went.

        The bytes stay until garbage collection finds that nothing needs them.
        """
        check_path(path)
        return self.database.write(lambda tx: self.store.remove(tx, path))
