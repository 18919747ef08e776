"""A capacity that several gateway processes share, and that outlives them.

One small file for each endpoint and length of window, locked while a request's rows take their
hands: who asks which process does not matter, and a restart gives no hand back. It is written
without waiting for the disk, so after a power cut the last second's counts may be forgotten.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import sha256
from mainspring.core.errors import Unavailable
from mainspring.serving.policy import WINDOWS_KEPT, Capacity, Flags, Hands

_MARK: Final = b"MSHANDS\x01"
# Mark, checksum of what follows, the oldest window that counts, how many windows follow.
_HEAD: Final = struct.Struct("<8sIqI")
_WINDOW: Final = struct.Struct("<qq")
_BYTES: Final = _HEAD.size + WINDOWS_KEPT * _WINDOW.size


class SharedHands(Hands):
    """Hands whose count is in a file. One thread at a time in each process."""

    def __init__(self, folder: Path, endpoint: str, window_micros: int) -> None:
        super().__init__()
        self._file = -1
        name = sha256(f"{endpoint}\x1f{window_micros}".encode()).removeprefix("sha256:")[:32]
        with _counted():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / f"{name}.hands", os.O_RDWR | os.O_CREAT, 0o600)

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def take(
        self,
        wanted: Flags,
        score: NDArray[np.float64],
        times: NDArray[np.int64],
        policy: Capacity,
    ) -> Flags:
        """As :meth:`Hands.take`, of what all processes have left.

        Rows of a later window than the next one get none: the windows kept are the newest, so
        they could push out the present one for good.
        Errors: ``serving.capacity_not_counted``: what cannot be counted is not given away.
        """
        wanted = wanted & (times <= time.time_ns() // 1000 + policy.window_micros)
        if not wanted.any():
            return np.zeros(len(wanted), dtype=np.bool_)
        with self._held():
            self._read()
            given = super().take(wanted, score, times, policy)
            if given.any():
                self._write()
            return given

    @contextmanager
    def _held(self) -> Iterator[None]:
        with _counted():
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _read(self) -> None:
        """What is in the file; one that is empty or torn by a power cut counts nothing."""
        data = os.pread(self._file, _BYTES, 0)
        self._taken.clear()
        if len(data) != _BYTES:
            return
        mark, checksum, oldest, count = _HEAD.unpack_from(data)
        if mark != _MARK or checksum != zlib.crc32(data[12:]):
            return
        self._oldest = oldest
        windows = _WINDOW.iter_unpack(data[_HEAD.size : _HEAD.size + count * _WINDOW.size])
        self._taken.update(windows)

    def _write(self) -> None:
        # Always as long: a disk that fills up later has the room already.
        windows = b"".join(_WINDOW.pack(*one) for one in self._taken.items())
        rest = struct.pack("<qI", self._oldest, len(self._taken)) + windows
        rest = rest.ljust(_BYTES - 12, b"\0")
        os.pwrite(self._file, _MARK + struct.pack("<I", zlib.crc32(rest)) + rest, 0)


@contextmanager
def _counted() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "serving.capacity_not_counted",
            f"The capacity that is left cannot be read or written ({error.strerror}).",
            hint="Look at the disk of the gateway's folder.",
        ) from error
