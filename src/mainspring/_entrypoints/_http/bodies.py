"""Request bodies, read under a cap: nobody's memory grows with what a stranger sends."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Protocol

from mainspring.core.errors import Invalid, TimedOut

IDLE_SECONDS: Final = 60.0  # a body may be large and slow, but not still
_GZIP: Final = 31  # zlib's window size with a gzip header


class Incoming(Protocol):
    """The body side of an RSGI HTTP protocol."""

    async def __call__(self) -> bytes: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


def _too_large(limit_bytes: int) -> Invalid:
    return Invalid(
        "http.too_large",
        f"The body is larger than the {limit_bytes} bytes this address takes.",
        hint="Send it in smaller parts.",
        limit_bytes=limit_bytes,
    )


def declared_length(headers: dict[str, str]) -> int | None:
    """The Content-Length of a request; None when the body comes in chunks."""
    text = headers.get("content-length")
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


async def read(incoming: Incoming, headers: dict[str, str], limit_bytes: int) -> bytes:
    """The whole body, unpacked.

    Errors: ``http.too_large``, ``http.unsupported_media_type`` for an unknown encoding,
    ``http.bad_body`` for damaged gzip.
    """
    length = declared_length(headers)
    if length is not None and length > limit_bytes:
        raise _too_large(limit_bytes)
    encoding = headers.get("content-encoding")
    if length is not None and not encoding:
        return bytes(await incoming()) if length else b""
    parts, size = [], 0
    async for chunk in incoming:
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(bytes(chunk))
    return _unpack(b"".join(parts), encoding, limit_bytes)


def _unpack(body: bytes, encoding: str | None, limit_bytes: int) -> bytes:
    if encoding is None or encoding == "identity" or not body:
        return body
    if encoding != "gzip":
        raise Invalid(
            "http.unsupported_media_type",
            f"Bodies encoded as {encoding[:40]} are not read here.",
            hint="Send the body plain or with gzip.",
        )
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise Invalid("http.bad_body", "The body is not whole gzip.") from error
    if len(plain) > limit_bytes:
        raise _too_large(limit_bytes)
    if not unpacker.eof:
        raise Invalid("http.bad_body", "The gzip body ends too early.")
    return plain


class Chunks:
    """A body as an iterator for a thread, one chunk at a time from the event loop.

    Errors: ``http.too_large``; ``http.torn_body`` when the sender went away before the end, so
    that half a body is never taken for a whole one.
    """

    def __init__(
        self,
        incoming: Incoming,
        loop: asyncio.AbstractEventLoop,
        *,
        length: int | None,
        limit_bytes: int,
    ) -> None:
        self._source = aiter(incoming)
        self._loop = loop
        self._length = length
        self._limit_bytes = limit_bytes
        self._size = 0
        self._empty = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        waiting = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
        try:
            chunk = waiting.result(IDLE_SECONDS)
        except TimeoutError as error:
            waiting.cancel()
            raise TimedOut("http.idle_body", "The body stopped coming.") from error
        if chunk is None:
            self._check_whole()
            raise StopIteration
        self._size += len(chunk)
        self._empty += not chunk
        if self._size > self._limit_bytes:
            raise _too_large(self._limit_bytes)
        return chunk

    def _check_whole(self) -> None:
        # Our own server raises. Granian ends a body with an empty chunk, one that broke off with two.
        torn = self._empty > 1 if self._length is None else self._size != self._length
        if torn:
            raise Invalid("http.torn_body", "The body ended before it was whole.")

    async def _next(self) -> bytes | None:
        try:
            part: Any = await anext(self._source)
        except StopAsyncIteration:
            return None
        return bytes(part)
