"""Bodies packed and unpacked: gzip as everywhere, and deflate, which Triton's clients offer."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Mapping
from typing import Final

from mainspring._entrypoints._http import bodies
from mainspring._entrypoints._http.messages import Response
from mainspring.core.errors import Invalid, Unavailable

BODY_LIMIT_BYTES: Final = 64 << 20
_BUDGET_BYTES: Final = 512 << 20
_BODY_SECONDS: Final = 30.0
_UNDECLARED_BYTES: Final = 8 << 20
_PACKED_FACTOR: Final = 10
_PACK_FROM_BYTES: Final = 1024


class Intake:
    """Reads bodies; all that are on their way together have a budget, and each has a time."""

    def __init__(
        self, *, budget_bytes: int = _BUDGET_BYTES, body_seconds: float = _BODY_SECONDS
    ) -> None:
        self._left_bytes = budget_bytes
        self._body_seconds = body_seconds

    async def read(self, incoming: bodies.Incoming, headers: dict[str, str]) -> bytes:
        """The whole body, unpacked; memory is bounded whatever is sent.

        Errors: those of :func:`mainspring._entrypoints._http.bodies.read`; ``serving.busy`` when
        too much is on its way already; ``http.too_slow``.
        """
        size = _reserved_bytes(headers)
        if size > self._left_bytes:
            raise Unavailable(
                "serving.busy",
                "Too many large bodies are on their way.",
                hint="Send the request again in a moment, or fewer rows at once.",
            )
        self._left_bytes -= size
        try:
            async with asyncio.timeout(self._body_seconds):
                return await _read(incoming, headers)
        except TimeoutError as error:
            raise _bad("http.too_slow", "The body did not arrive in time.") from error
        finally:
            self._left_bytes += size


def _reserved_bytes(headers: dict[str, str]) -> int:
    """What a body counts for: its length; a guess where packing or chunks hide it."""
    declared = bodies.declared_length(headers)
    if declared is None:
        declared = _UNDECLARED_BYTES
    elif "content-encoding" in headers:
        declared *= _PACKED_FACTOR
    return min(declared, BODY_LIMIT_BYTES)


async def _read(incoming: bodies.Incoming, headers: dict[str, str]) -> bytes:
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
