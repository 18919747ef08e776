"""Uploads in parts in SQL."""

from __future__ import annotations

from mainspring.core.digest import Digest
from mainspring.ports.database import Reader, Transaction
from mainspring.tracking.uploads import Part, Upload


class SqlUploads:
    """:class:`mainspring.tracking.uploads.UploadStore` on SQLite and PostgreSQL."""

    def save(self, tx: Transaction, upload: Upload) -> None:
        tx.run(
            "INSERT INTO uploads (id, path, parts, touched_ms, done) VALUES (?,?,?,?,?) "
            "ON CONFLICT (id) DO UPDATE SET touched_ms = excluded.touched_ms, done = excluded.done",
            (upload.id, upload.path, upload.parts, upload.touched_ms, upload.done),
        )

    def find(self, reader: Reader, upload_id: str) -> Upload | None:
        row = reader.one(
            "SELECT path, parts, touched_ms, done FROM uploads WHERE id = ?", (upload_id,)
        )
        if row is None:
            return None
        path, parts, touched_ms, done = row
        return Upload(id=upload_id, path=path, parts=parts, touched_ms=touched_ms, done=done)

    def add(self, tx: Transaction, upload_id: str, part: Part) -> None:
        tx.run(
            "INSERT INTO upload_parts (upload, number, digest, size_bytes) VALUES (?,?,?,?) "
            "ON CONFLICT (upload, number) DO UPDATE SET digest = excluded.digest, "
            "size_bytes = excluded.size_bytes",
            (upload_id, part.number, part.digest, part.size_bytes),
        )

    def parts(self, reader: Reader, upload_id: str) -> list[Part]:
        rows = reader.all(
            "SELECT number, digest, size_bytes FROM upload_parts WHERE upload = ? ORDER BY number",
            (upload_id,),
        )
        return [Part(number, Digest(digest), size) for number, digest, size in rows]

    def drop_parts(self, tx: Transaction, upload_id: str) -> None:
        tx.run("DELETE FROM upload_parts WHERE upload = ?", (upload_id,))

    def remove(self, tx: Transaction, upload_id: str) -> None:
        self.drop_parts(tx, upload_id)
        tx.run("DELETE FROM uploads WHERE id = ?", (upload_id,))
