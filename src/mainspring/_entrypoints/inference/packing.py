"""Bodies packed and unpacked: gzip as everywhere, and deflate, which Triton's clients offer."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from typing import Final

from mainspring._entrypoints._http import bodies
from mainspring._entrypoints._http.messages import Response
from mainspring.core.errors import Invalid

BODY_LIMIT_BYTES: Final = 64 << 20
_PACK_FROM_BYTES: Final = 1024


async def read_body(incoming: bodies.Incoming, headers: dict[str, str]) -> bytes:
    """The whole body, unpacked; memory is bounded whatever is sent.

    Errors: those of :func:`mainspring._entrypoints._http.bodies.read`.
    """
    if headers.get("content-encoding") != "deflate":
        return await bodies.read(incoming, headers, BODY_LIMIT_BYTES)
    plain = {name: value for name, value in headers.items() if name != "content-encoding"}
    return _inflate(await bodies.read(incoming, plain, BODY_LIMIT_BYTES))


def pack(response: Response, headers: Mapping[str, str]) -> Response:
    """The response as the caller takes it: packed when it is long and that is wanted."""
    wanted, body = headers.get("accept-encoding"), response.body
    if wanted is None or not isinstance(body, bytes) or len(body) < _PACK_FROM_BYTES:
        return response
    if "gzip" in wanted:
        packed, name = gzip.compress(body, compresslevel=1, mtime=0), "gzip"
    elif "deflate" in wanted:
        packed, name = zlib.compress(body, 1), "deflate"
    else:
        return response
    return Response(response.status, [*response.headers, ("content-encoding", name)], packed)


def _inflate(body: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(body, BODY_LIMIT_BYTES + 1)
    except zlib.error as error:
        raise _bad("http.bad_body", "The body is not whole deflate data.") from error
    if len(plain) > BODY_LIMIT_BYTES:
        raise _bad("http.too_large", f"The body is larger than {BODY_LIMIT_BYTES} bytes.")
    if not unpacker.eof:
        raise _bad("http.bad_body", "The deflate body ends too early.")
    return plain


def _bad(code: str, message: str) -> Invalid:
    return Invalid(code, message, hint="Send fewer rows at once, plain or with gzip.")
