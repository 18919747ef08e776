"""Use cases on uploads in parts: a large file that comes over several connections at once.

Each part is an object of its own as soon as it is whole, so nothing of an upload waits in memory,
and a part that broke off is sent again alone. Completing reads the parts in order into one object
and names it; the parts are then garbage, and so are those of an upload nobody completes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from mainspring.core.digest import Digest, canonical_json, sha256
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.core.ids import new_id
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Reader, Transaction
from mainspring.ports.objects import Objects
from mainspring.tracking.artifacts import check_path
from mainspring.tracking.ports import ArtifactStore
from mainspring.tracking.types import ArtifactFile

MAX_PARTS: Final = 10_000
ABANDONED_SECONDS: Final = 86_400
_BLOCK_BYTES: Final = 1 << 20


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload under way. ``done`` is the digest of what completed it; empty until then."""

    id: str
    path: str
    parts: int
    touched_ms: int
    done: str = ""


class Part(msgspec.Struct, frozen=True):
    """A part that has arrived."""

    number: int
    digest: Digest
    size_bytes: int


class UploadStore(Protocol):
    """Rows of uploads. Every method works inside the caller's transaction."""

    def save(self, tx: Transaction, upload: Upload) -> None:
        """Stores an upload, new or changed."""
        ...

    def find(self, reader: Reader, upload_id: str) -> Upload | None:
        """The upload, under way or completed."""
        ...

    def add(self, tx: Transaction, upload_id: str, part: Part) -> None:
        """Notes a part; one of this number that came before is replaced."""
        ...

    def parts(self, reader: Reader, upload_id: str) -> list[Part]:
        """The parts that have arrived, by number."""
        ...

    def drop_parts(self, tx: Transaction, upload_id: str) -> None:
        """Forgets the parts, and the upload stays."""
        ...

    def remove(self, tx: Transaction, upload_id: str) -> None:
        """Forgets the upload and its parts."""
        ...


@dataclass(frozen=True, slots=True)
class Uploads:
    """Uploads in parts. Memory does not grow with the size of a file."""

    database: Database
    store: UploadStore
    artifacts: ArtifactStore
    objects: Objects
    clock: Clock

    def begin(self, path: str, parts: int) -> Upload:
        """A new upload of so many parts to a path. Errors: ``tracking.bad_value``."""
        check_path(path)
        if not 1 <= parts <= MAX_PARTS:
            raise Invalid(
                "tracking.bad_upload",
                f"An upload has between 1 and {MAX_PARTS} parts, not {parts}.",
                hint="Send larger parts.",
            )
        made = Upload(id=new_id(), path=path, parts=parts, touched_ms=self._now_ms())
        self.database.write(lambda tx: self.store.save(tx, made))
        return made

    def put(self, upload_id: str, number: int, chunks: Iterable[bytes]) -> Part:
        """The part, once its bytes are durable.

        Errors: ``tracking.upload_not_found``, ``tracking.bad_upload`` for a number that this upload
        does not have, and what reading the chunks raises: then nothing is stored.
        """
        upload = self.database.read(lambda db: self._under_way(db, upload_id))
        if not 1 <= number <= upload.parts:
            raise Invalid(
                "tracking.bad_upload",
                f"This upload has parts 1 to {upload.parts}, and none with number {number}.",
            )
        digest = self.objects.put(chunks)
        part = Part(number, digest, self.objects.size_bytes(digest))

        def work(tx: Transaction) -> None:
            found = self._under_way(tx, upload_id)
            self.store.add(tx, upload_id, part)
            self.store.save(tx, msgspec.structs.replace(found, touched_ms=self._now_ms()))

        self.database.write(work)
        return part

    def complete(self, upload_id: str, path: str, named: Sequence[tuple[int, str]]) -> ArtifactFile:
        """The file made of all parts in order; ``named`` are their numbers and digests.

        The same call again gives the same file.
        Errors: ``tracking.upload_not_found``; ``tracking.bad_upload`` when a part is missing, named
        twice, out of order or not what arrived; ``tracking.artifact_conflict``, ``objects.full``.
        """
        proof = sha256(canonical_json([list(pair) for pair in named]))
        upload = self.database.read(lambda db: self._found(db, upload_id, path))
        if upload.done:
            return self._again(upload, proof)
        parts = self.database.read(lambda db: self.store.parts(db, upload_id))
        _check_parts(upload, parts, named)
        digest = self.objects.put(self._joined(parts))
        size = sum(part.size_bytes for part in parts)
        name = path.rpartition("/")[2]
        entry = ArtifactFile(name, is_folder=False, size_bytes=size, digest=digest)

        def work(tx: Transaction) -> ArtifactFile:
            found = self._found(tx, upload_id, path)
            if not found.done and self.store.parts(tx, upload_id) != parts:
                raise _changed()
            now_ms = self._now_ms()
            self.artifacts.put(tx, path, entry, now_ms)
            self.store.drop_parts(tx, upload_id)
            self.store.save(tx, msgspec.structs.replace(found, done=proof, touched_ms=now_ms))
            return entry

        return self.database.write(work)

    def abort(self, upload_id: str, path: str) -> None:
        """Forgets an upload. Errors: ``tracking.upload_not_found``."""

        def work(tx: Transaction) -> None:
            self._found(tx, upload_id, path)
            self.store.remove(tx, upload_id)

        self.database.write(work)

    # -- inside ---------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return to_micros(self.clock.now()) // 1000

    def _found(self, reader: Reader, upload_id: str, path: str) -> Upload:
        found = self.store.find(reader, upload_id)
        if found is None or found.path != path:
            raise NotFound(
                "tracking.upload_not_found",
                f"There is no upload {upload_id[:80]!r} of this file.",
                hint="Begin it again; one that nobody completes is forgotten after a day.",
            )
        return found

    def _under_way(self, reader: Reader, upload_id: str) -> Upload:
        found = self.store.find(reader, upload_id)
        return self._found(reader, upload_id, "" if found is None or found.done else found.path)

    def _again(self, upload: Upload, proof: str) -> ArtifactFile:
        found = self.database.read(lambda db: self.artifacts.find(db, upload.path))
        if upload.done != proof or found is None:
            raise _changed()
        return found

    def _joined(self, parts: Sequence[Part]) -> Iterator[bytes]:
        """The bytes of all parts; each part is checked against its digest on the way."""
        for part in parts:
            with self.objects.open(part.digest) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    yield block


def _changed() -> Conflict:
    return Conflict(
        "tracking.upload_changed",
        "The parts of this upload are no longer what they were.",
        hint="Upload the file again.",
    )


def _check_parts(upload: Upload, parts: Sequence[Part], named: Sequence[tuple[int, str]]) -> None:
    numbers = [number for number, _ in named]
    if numbers != list(range(1, upload.parts + 1)):
        raise Invalid(
            "tracking.bad_upload",
            f"An upload of {upload.parts} parts is completed by naming each once, in order.",
        )
    arrived = {part.number: part.digest for part in parts}
    wrong = [number for number, digest in named if arrived.get(number) != digest]
    if wrong:
        fault = "has not arrived" if wrong[0] not in arrived else "is not what arrived"
        raise Invalid(
            "tracking.bad_upload",
            f"Part {wrong[0]} {fault}.",
            hint="Send the part again, and complete the upload with the ETag of the answer.",
            parts=[str(number) for number in wrong[:100]],
        )
