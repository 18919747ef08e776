"""Large bytes by content: artifacts, packages, reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol

from mainspring.core.digest import Digest


class Objects(Protocol):
    """A content-addressed store: what is stored under a digest never changes.

    Durability: an object whose ``put`` returned survives power loss. A torn write is never
    visible. Errors: ``objects.not_found``, ``objects.full``, ``objects.corrupt`` (bytes do not
    match their address), ``objects.bad_digest``.
    """

    def put(self, chunks: bytes | Iterable[bytes]) -> Digest:
        """The address of the bytes, stored durably. Storing the same bytes again is free."""
        ...

    def get(self, digest: Digest) -> bytes:
        """All bytes of an object, checked against the address."""
        ...

    def open(self, digest: Digest) -> BinaryIO:
        """A readable, seekable stream of the object; the caller closes it.

        One whose ``name`` is a text lies there as a plain file, as with Python's own streams.
        """
        ...

    def exists(self, digest: Digest) -> bool:
        """Whether the object is stored."""
        ...

    def size_bytes(self, digest: Digest) -> int:
        """The object's length."""
        ...

    def list(self) -> Iterator[Digest]:
        """Every stored address, in no particular order."""
        ...

    def claim(self, digest: Digest) -> bool:
        """Whether the object is stored; if so, it counts as put just now."""
        ...

    def age_seconds(self, digest: Digest) -> float:
        """How long ago the object was last put or claimed."""
        ...

    def delete(self, digest: Digest, *, idle_seconds: float = 0.0) -> bool:
        """Frees the object unless it was put or claimed within so many seconds; whether it did.

        False also when it was not there. Only garbage collection calls this, and one that puts the
        same bytes at that very moment either stops it or stores them anew.
        """
        ...

    def verify(self, digest: Digest) -> bool:
        """Whether the stored bytes still match their address."""
        ...
