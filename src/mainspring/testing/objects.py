"""Objects in memory, and the suite that every implementation of the port must pass."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from mainspring.core.digest import Digest, sha256
from mainspring.core.errors import Invalid, NotFound


class MemoryObjects:
    """The objects port on a dictionary."""

    def __init__(self) -> None:
        self._stored: dict[Digest, bytes] = {}
        self._lock = threading.Lock()

    def put(self, chunks: bytes | Iterable[bytes]) -> Digest:
        data = chunks if isinstance(chunks, bytes) else b"".join(chunks)
        digest = sha256(data)
        with self._lock:
            self._stored[digest] = data
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

    def delete(self, digest: Digest) -> bool:
        _check(digest)
        with self._lock:
            return self._stored.pop(digest, None) is not None

    def verify(self, digest: Digest) -> bool:
        return sha256(self.get(digest)) == digest


def _check(digest: Digest) -> None:
    scheme, _, name = digest.partition(":")
    if scheme != "sha256" or len(name) != 64 or not set(name) <= set("0123456789abcdef"):  # noqa: PLR2004
        raise Invalid("objects.bad_digest", f"{digest[:80]!r} is not the address of an object.")
