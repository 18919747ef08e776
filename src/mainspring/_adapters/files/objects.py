"""Objects as files named by their SHA-256, two folders deep: ``ab/cd/abcd...``.

Bytes go to ``incoming/`` first, are synced, and get their name by a rename: whoever sees an object
sees all of it. An upload that died leaves a file in ``incoming/``, swept a day later.

The time of a file is when its bytes were last put. Freeing moves the file to ``leaving/``, looks at
its time once more and only then removes it: a put that touched the file before the move is seen, a
put after the move finds no file and stores the bytes anew. Until it is removed it can be read: who
finds it in neither place may have met it on its way back, and looks once more.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from mainspring._adapters.files.paths import Parts, Root
from mainspring.core.digest import Digest, sha256
from mainspring.core.errors import Broken, Invalid, NotFound, Unavailable
from mainspring.core.ids import new_id

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})\Z")
_INCOMING: Final = "incoming"
_LEAVING: Final = "leaving"
_ABANDONED_SECONDS: Final = 86_400
_BLOCK_BYTES: Final = 1 << 20
# An object moves at most twice in one collection, and each look meets at most one of the moves.
_LOOKS: Final = 3


class FileObjects:
    """The objects port on one folder; several processes may share it.

    Durability: the file and each folder on its way are synced before ``put`` returns, also when
    the object was there already (the one who put it may not have synced yet).
    """

    def __init__(self, root: Path | str) -> None:
        self._root = Root(root)
        self._sweep()

    def put(self, chunks: bytes | Iterable[bytes]) -> Digest:
        if isinstance(chunks, bytes):
            digest = sha256(chunks)
            if self._is_kept(digest):
                return digest
            chunks = (chunks,)
        temporary = (_INCOMING, new_id())
        try:
            digest = self._write(temporary, chunks)
            with _disk_errors():
                # Also over an object that is there: same bytes, or a damaged copy that this heals.
                self._root.move(temporary, _place(digest))
        except BaseException:
            with suppress(OSError):  # the first error is told; what is left is swept a day later
                self._root.delete(temporary)
            raise
        return digest

    def _is_kept(self, digest: Digest) -> bool:
        """Whether the object is there, whole, put just now and durable."""
        try:
            if not (self.claim(digest) and self.verify(digest)):
                return False
        except NotFound:  # freed in between, by a collection that spares nothing
            return False
        try:
            self._root.sync(_place(digest)[:-1])
        except FileNotFoundError:
            return False
        return True

    def get(self, digest: Digest) -> bytes:
        with self.open(digest) as stream:
            return stream.read()

    def open(self, digest: Digest) -> BinaryIO:
        path = self._root.path.joinpath(*_place(digest))
        raw = _Checked(self._descriptor(digest), digest, str(path))
        return io.BufferedReader(raw, _BLOCK_BYTES)

    def exists(self, digest: Digest) -> bool:
        try:
            self.size_bytes(digest)
        except NotFound:
            return False
        return True

    def size_bytes(self, digest: Digest) -> int:
        descriptor = self._descriptor(digest)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def list(self) -> Iterator[Digest]:
        for first in self._root.names(()):
            if first in {_INCOMING, _LEAVING}:
                continue
            for second in self._root.names((first,)):
                for name in self._root.names((first, second)):
                    digest = Digest(f"sha256:{name}")
                    if _DIGEST.match(digest) and name.startswith(first + second):
                        yield digest

    def claim(self, digest: Digest) -> bool:
        return any(self._touch(digest) or self._restore(digest) for _ in range(_LOOKS))

    def age_seconds(self, digest: Digest) -> float:
        descriptor = self._descriptor(digest)
        try:
            return max(0.0, time.time() - os.fstat(descriptor).st_mtime)
        finally:
            os.close(descriptor)

    def delete(self, digest: Digest, *, idle_seconds: float = 0.0) -> bool:
        place = _place(digest)
        leaving = (_LEAVING, place[-1])
        try:
            if idle_seconds and self.age_seconds(digest) < idle_seconds:
                return False
            with _disk_errors():
                self._root.move(place, leaving)
        except (FileNotFoundError, NotFound):
            return False
        try:
            if idle_seconds and self._age_seconds(leaving) < idle_seconds:
                self._restore(digest)
                return False
        except FileNotFoundError:  # a put was faster and took it back
            return False
        with _disk_errors():
            return self._root.delete(leaving)

    def verify(self, digest: Digest) -> bool:
        try:
            with self.open(digest) as stream:
                while stream.read(_BLOCK_BYTES):
                    pass
        except Broken:
            return False
        return True

    def _descriptor(self, digest: Digest) -> int:
        place = _place(digest)
        for parts in (place, (_LEAVING, place[-1])) * _LOOKS:
            with suppress(FileNotFoundError), _disk_errors():
                return self._root.open(parts)
        raise NotFound(
            "objects.not_found",
            f"No object {digest} is stored.",
            hint="It may have been freed by 'mainspring gc', or belong to another workspace.",
            digest=digest,
        )

    def _write(self, parts: Parts, chunks: Iterable[bytes]) -> Digest:
        digest = hashlib.sha256()
        with _disk_errors():
            descriptor = self._root.create(parts)
        try:
            for chunk in chunks:
                digest.update(chunk)
                with _disk_errors():
                    _write_all(descriptor, chunk)
            with _disk_errors():
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return Digest(f"sha256:{digest.hexdigest()}")

    def _touch(self, digest: Digest) -> bool:
        """Makes what lies in its place count as put just now; False when nothing lies there."""
        place = _place(digest)
        try:
            with _disk_errors(), self._root.folder(place[:-1]) as folder:
                os.utime(place[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _restore(self, digest: Digest) -> bool:
        """Brings back what is leaving, put just now; False when there is nothing, or it was faster."""
        place = _place(digest)
        try:
            with _disk_errors(), self._root.folder((_LEAVING,)) as folder:
                os.utime(place[-1], dir_fd=folder, follow_symlinks=False)
            with _disk_errors():
                self._root.move((_LEAVING, place[-1]), place)
        except FileNotFoundError:
            return False
        return True

    def _age_seconds(self, parts: Parts) -> float:
        with _disk_errors(), self._root.folder(parts[:-1]) as folder:
            return time.time() - os.lstat(parts[-1], dir_fd=folder).st_mtime

    def _sweep(self) -> None:
        """Removes what uploads that died have left, once it is a day old; what was leaving stays."""
        for name in self._root.names((_LEAVING,)):
            if _DIGEST.match(f"sha256:{name}"):
                self._restore(Digest(f"sha256:{name}"))
        for name in self._root.names((_INCOMING,)):
            with self._root.folder((_INCOMING,)) as folder:
                try:
                    age_seconds = time.time() - os.lstat(name, dir_fd=folder).st_mtime
                except FileNotFoundError:  # another process swept it
                    continue
            if age_seconds > _ABANDONED_SECONDS:
                self._root.delete((_INCOMING, name))


class _Checked(io.RawIOBase):
    """A file that, read from its start to its end, raises unless it matches its address."""

    def __init__(self, descriptor: int, digest: Digest, name: str) -> None:
        self.name = name  # as Python's own files have it
        self._file = io.FileIO(descriptor, "rb")
        self._expected = digest
        self._digest = hashlib.sha256()
        self._hashed_bytes = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        at = self._file.tell()
        with _disk_errors():
            count = self._file.readinto(buffer) or 0
        if at == self._hashed_bytes:
            self._digest.update(memoryview(buffer)[:count])
            self._hashed_bytes += count
            if count == 0 and len(buffer):
                self._compare()
        return count

    def _compare(self) -> None:
        if f"sha256:{self._digest.hexdigest()}" != self._expected:
            raise Broken(
                "objects.corrupt",
                f"The bytes stored as {self._expected} are not those that were put there.",
                hint="Restore the file from a backup, or store the same artifact again.",
                digest=self._expected,
            )


def _write_all(descriptor: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(descriptor, left) :]


def _place(digest: Digest) -> Parts:
    found = _DIGEST.match(digest)
    if found is None:
        raise Invalid(
            "objects.bad_digest",
            f"{digest[:80]!r} is not the address of an object.",
            hint="An address is 'sha256:' and 64 lower-case hex digits.",
        )
    name = found[1]
    return (name[:2], name[2:4], name)


@contextmanager
def _disk_errors() -> Iterator[None]:
    """What the disk says, as errors of the port."""
    try:
        yield
    except OSError as error:
        # EFBIG is the process's own limit on file size, EDQUOT the user's share of the disk.
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise Unavailable(
                "objects.full",
                "The disk that holds the objects is full; nothing was stored.",
                hint="Free some space ('mainspring gc' shows what nothing refers to), try again.",
            ) from error
        if error.errno == errno.EIO:
            raise Broken(
                "objects.broken",
                "The disk that holds the objects failed; nothing was stored.",
                hint="Check the disk; 'mainspring doctor' verifies every object.",
            ) from error
        raise
