"""Objects in memory, and the suite that every implementation of the port must pass."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from mainspring.core.digest import Digest, sha256
from mainspring.core.errors import Invalid, NotFound


class MemoryObjects:
    """The objects port on a dictionary."""

    def __init__(self) -> None:
        self._stored: dict[Digest, bytes] = {}
        self._touched: dict[Digest, float] = {}
        self._lock = threading.Lock()

    def put(self, chunks: bytes | Iterable[bytes]) -> Digest:
        data = chunks if isinstance(chunks, bytes) else b"".join(chunks)
        digest = sha256(data)
        with self._lock:
            self._stored[digest] = data
            self._touched[digest] = time.monotonic()
        return digest

    def get(self, digest: Digest) -> bytes:
        _check(digest)
        try:
            return self._stored[digest]
        except KeyError:
            raise NotFound(
                "objects.not_found", f"No object {digest} is stored.", digest=digest
            ) from None

    def open(self, digest: Digest) -> BinaryIO:
        return io.BytesIO(self.get(digest))

    def exists(self, digest: Digest) -> bool:
        _check(digest)
        return digest in self._stored

    def size_bytes(self, digest: Digest) -> int:
        return len(self.get(digest))

    def list(self) -> Iterator[Digest]:
        with self._lock:
            return iter(tuple(self._stored))

    def claim(self, digest: Digest) -> bool:
        _check(digest)
        with self._lock:
            if digest not in self._stored:
                return False
            self._touched[digest] = time.monotonic()
            return True

    def age_seconds(self, digest: Digest) -> float:
        self.get(digest)
        return time.monotonic() - self._touched[digest]

    def delete(self, digest: Digest, *, idle_seconds: float = 0.0) -> bool:
        _check(digest)
        with self._lock:
            if digest not in self._stored:
                return False
            if time.monotonic() - self._touched[digest] < idle_seconds:
                return False
            del self._stored[digest]
            return True

    def verify(self, digest: Digest) -> bool:
        return sha256(self.get(digest)) == digest


def _check(digest: Digest) -> None:
    scheme, _, name = digest.partition(":")
    if scheme != "sha256" or len(name) != 64 or not set(name) <= set("0123456789abcdef"):  # noqa: PLR2004
        raise Invalid("objects.bad_digest", f"{digest[:80]!r} is not the address of an object.")
