"""Content addresses and the one canonical JSON that digests are taken over."""

from __future__ import annotations

import hashlib
from typing import Any, NewType

import msgspec

Digest = NewType("Digest", str)  # "sha256:" and 64 lower-case hex digits

_encoder = msgspec.json.Encoder(order="deterministic")


def canonical_json(value: Any) -> bytes:
    """The same bytes for equal values: keys sorted, no spaces, UTF-8."""
    return _encoder.encode(value)


def sha256(data: bytes) -> Digest:
    """The content address of some bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def digest_of(value: Any) -> Digest:
    """The content address of a JSON-like value."""
    return sha256(canonical_json(value))
