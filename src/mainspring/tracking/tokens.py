"""Page tokens: the sort key of the last row seen, bound to the query and signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.errors import Invalid

_SIGNATURE_BYTES: Final = 12


def _sign(secret: bytes, query: Any, body: bytes) -> bytes:
    message = canonical_json(query) + b"\x00" + body
    return hmac.new(secret, message, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


def write(secret: bytes, query: Any, keys: Sequence[Any]) -> str:
    """An opaque token that continues ``query`` after the row with these sort keys."""
    body = msgspec.json.encode(list(keys))
    return base64.urlsafe_b64encode(_sign(secret, query, body) + body).decode()


def read(secret: bytes, query: Any, token: str | None) -> list[Any] | None:
    """The sort keys in a token; None without one.

    Errors: ``tracking.bad_token`` for any token that this query did not get from this server.
    """
    if not token:
        return None
    try:
        data = base64.urlsafe_b64decode(token.encode())
    except (binascii.Error, ValueError, UnicodeEncodeError):
        data = b""
    mark, body = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
    if not body or not hmac.compare_digest(mark, _sign(secret, query, body)):
        raise Invalid(
            "tracking.bad_token",
            "The page token does not belong to this search.",
            hint="Start again without a token.",
        )
    keys: list[Any] = msgspec.json.decode(body)
    return keys
