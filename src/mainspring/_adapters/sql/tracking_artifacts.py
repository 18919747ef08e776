"""The artifact tree in SQL: one row per entry, clustered by folder."""

from __future__ import annotations

from collections.abc import Iterator

from mainspring.core.errors import Conflict
from mainspring.ports.database import Reader, Row, Transaction
from mainspring.tracking.types import ArtifactFile


class SqlArtifacts:
    """The artifact store."""

    def put(self, tx: Transaction, path: str, entry: ArtifactFile, now_ms: int) -> None:
        for folder in _folders(path):
            row = self._row(tx, folder)
            if row is None:
                self._insert(tx, folder, (None, 0, now_ms))
            elif row[1] is not None:
                raise _conflict(folder, "a file")
        found = self._row(tx, path)
        if found is not None and found[1] is None:
            raise _conflict(path, "a folder")
        self._insert(tx, path, (entry.digest, entry.size_bytes, now_ms))

    def find(self, reader: Reader, path: str) -> ArtifactFile | None:
        row = self._row(reader, path)
        return _entry(row) if row else None

    def entries(self, reader: Reader, folder: str) -> list[ArtifactFile]:
        rows = reader.all(
            "SELECT name, digest, size_bytes FROM artifacts WHERE folder = ? ORDER BY name",
            (folder,),
        )
        return [_entry(row) for row in rows]

    def remove(self, tx: Transaction, path: str) -> int:
        entry = self.find(tx, path)
        if entry is None:
            return 0
        removed = 0 if entry.is_folder else 1
        if entry.is_folder:
            inside = [f"{path}/{child.name}" for child in self.entries(tx, path)]
            removed = sum(self.remove(tx, child) for child in inside)
        folder, _, name = path.rpartition("/")
        tx.run("DELETE FROM artifacts WHERE folder = ? AND name = ?", (folder, name))
        return removed

    def _row(self, reader: Reader, path: str) -> Row | None:
        folder, _, name = path.rpartition("/")
        return reader.one(
            "SELECT name, digest, size_bytes FROM artifacts WHERE folder = ? AND name = ?",
            (folder, name),
        )

    def _insert(self, tx: Transaction, path: str, values: Row) -> None:
        folder, _, name = path.rpartition("/")
        tx.run(
            "INSERT INTO artifacts (folder, name, digest, size_bytes, changed_ms) "
            "VALUES (?,?,?,?,?) ON CONFLICT (folder, name) DO UPDATE SET "
            "digest = excluded.digest, size_bytes = excluded.size_bytes, "
            "changed_ms = excluded.changed_ms",
            (folder, name, *values),
        )


def _folders(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for end in range(1, len(parts) + 1):
        yield "/".join(parts[:end])


def _entry(row: Row) -> ArtifactFile:
    return ArtifactFile(row[0], row[1] is None, row[2], row[1] or "")


def _conflict(path: str, what: str) -> Conflict:
    return Conflict(
        "tracking.artifact_conflict",
        f"There is {what} at {path!r} already.",
        hint="Log it under another path.",
        path=path,
    )
