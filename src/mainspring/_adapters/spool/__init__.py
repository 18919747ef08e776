"""Records in files that outlive their process: the spool of what runs log.

One file per process, held under a lock. A record is its length, its CRC-32 and its bytes; a file
that breaks off in the middle of a record is whole up to there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Final

from mainspring.core.errors import Unavailable
from mainspring.core.ids import new_id

_HEAD: Final = struct.Struct("<II")
_SUFFIX: Final = ".spool"
_FILE_SUFFIX: Final = ".file"
_BLOCK_BYTES: Final = 1 << 20


class FileSpool:
    """The spool of one process in a folder that all share.

    Concurrency: may be used by any thread; closed, it refuses.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._path = folder / f"{new_id()}{_SUFFIX}"
        self._file = self._claim(self._path)
        self._lock = threading.Lock()

    def append(self, record: bytes) -> None:
        data = _HEAD.pack(len(record), zlib.crc32(record)) + record
        with self._lock:
            if self._file < 0:  # its number may be another file's by now
                raise _closed()
            end = os.fstat(self._file).st_size
            try:
                while data:
                    data = data[os.write(self._file, data) :]
            except OSError as error:
                os.ftruncate(self._file, end)  # half a record would hide those behind it
                raise _no_room(error) from error

    def records(self) -> Generator[bytes]:
        return _read(self._path)

    def put(self, chunks: Iterable[bytes]) -> str:
        """Keeps a file beside the records. Errors: ``disk.full``."""
        name = f"{new_id()}{_FILE_SUFFIX}"
        path = self._folder / name
        try:
            with path.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _no_room(error) from error
        return name

    def open(self, name: str) -> Iterator[bytes]:
        """A kept file's bytes."""
        with (self._folder / Path(name).name).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block

    def has(self, name: str) -> bool:
        """Whether a kept file is there."""
        return (self._folder / Path(name).name).is_file()

    def drop(self, name: str) -> None:
        """Forgets a kept file."""
        (self._folder / Path(name).name).unlink(missing_ok=True)

    def clear(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.ftruncate(self._file, 0)

    def adopt(self) -> int:
        found = 0
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path == self._path:
                continue
            with contextlib.suppress(OSError):  # another process lives, or was faster
                held = self._claim(path)
                try:
                    for record in _read(path):
                        self.append(record)
                        found += 1
                    path.unlink()
                finally:
                    os.close(held)
        return found

    def close(self) -> None:
        """Lets go of the file; an empty one goes too."""
        with self._lock:
            if self._file < 0:
                return
            if os.fstat(self._file).st_size == 0:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    @staticmethod
    def _claim(path: Path) -> int:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise
        return file


def _closed() -> Unavailable:
    return Unavailable(
        "tracking.spool_closed",
        "The workspace of this run is closed.",
        hint="End runs before their workspace is closed.",
    )


def _no_room(error: OSError) -> Unavailable:
    """The error for a disk that does not take a record."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return Unavailable(
        "disk.full" if full else "disk.failed",
        "The disk that holds the spool is full."
        if full
        else f"The spool cannot be written ({error.strerror}).",
        hint="What was logged waits in memory until there is room.",
    )


def _read(path: Path) -> Generator[bytes]:
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            size, check = _HEAD.unpack(head)
            record = file.read(size)
            if len(record) < size or zlib.crc32(record) != check:
                return
            yield record
