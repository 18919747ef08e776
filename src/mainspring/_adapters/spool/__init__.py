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
import zlib
from pathlib import Path
from typing import Final

from mainspring.core.errors import Unavailable
from mainspring.core.ids import new_id

_HEAD: Final = struct.Struct("<II")
_SUFFIX: Final = ".spool"


class FileSpool:
    """The spool of one process in a folder that all share."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._path = folder / f"{new_id()}{_SUFFIX}"
        self._file = self._open(self._path)

    def append(self, record: bytes) -> None:
        data = _HEAD.pack(len(record), zlib.crc32(record)) + record
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise
            raise Unavailable(
                "disk.full",
                "The disk that holds the spool is full.",
                hint="Free some space; what was logged waits in memory.",
            ) from error

    def records(self) -> list[bytes]:
        return _read(self._path)

    def clear(self) -> None:
        os.ftruncate(self._file, 0)

    def adopt(self) -> list[bytes]:
        found: list[bytes] = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path == self._path:
                continue
            with contextlib.suppress(OSError):  # another process lives, or was faster
                held = self._open(path)
                records = _read(path)
                for record in records:
                    self.append(record)
                path.unlink()
                os.close(held)
                found += records
        return found

    def close(self) -> None:
        """Lets go of the file; an empty one goes too."""
        if os.fstat(self._file).st_size == 0:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    @staticmethod
    def _open(path: Path) -> int:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise
        return file


def _read(path: Path) -> list[bytes]:
    data = path.read_bytes()
    found, at = [], 0
    while at + _HEAD.size <= len(data):
        size, check = _HEAD.unpack_from(data, at)
        record = data[at + _HEAD.size : at + _HEAD.size + size]
        if len(record) < size or zlib.crc32(record) != check:
            break
        found.append(record)
        at += _HEAD.size + size
    return found
