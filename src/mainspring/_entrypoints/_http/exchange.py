"""One request and its answer, in the shape of RSGI: what an application is called with.

Source: the RSGI specification, version 1.6 (scope and HTTP protocol): the part of it that our
applications use, so that they run on this server and on any other that speaks RSGI.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from mainspring._entrypoints._http.messages import Headers
from mainspring.core.errors import Invalid

if TYPE_CHECKING:
    from mainspring._entrypoints._http.connection import Connection

# So much of a body waits in memory for a handler that is slower than its client.
_BUFFER_BYTES: Final = 1 << 20


class Fields:
    """The header fields of a request: lower-case names and values, in their order."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def items(self) -> list[tuple[str, str]]:
        """Every field; a name given twice is there twice."""
        return self._pairs


class Scope:
    """What is known of a request once its head is read. ``authority``: of an absolute target."""

    __slots__ = (
        "authority",
        "client",
        "headers",
        "http_version",
        "method",
        "path",
        "proto",
        "query_string",
    )

    def __init__(self, method: str, path: str, query_string: str, headers: Fields) -> None:
        self.proto = "http"
        self.http_version = "1.1"
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.authority: str | None = None
        self.client = ""


class Exchange:
    """The body of one request as it comes, and the way to answer it, once."""

    __slots__ = (
        "_buffered",
        "_collects",
        "_connection",
        "_parts",
        "_torn",
        "_waiter",
        "answered",
        "begins_unread",
        "complete",
        "expects_continue",
        "keep_alive",
        "scope",
    )

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self.scope = scope
        self.complete = self.answered = self.expects_continue = False
        self.begins_unread = False  # its handler is called before the body is here
        self.keep_alive = True
        self._torn = self._collects = False
        self._parts: list[bytes] = []
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None

    # -- the connection's side ----------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Takes a piece of the body."""
        self._parts.append(data)
        self._buffered += len(data)
        if self._buffered > _BUFFER_BYTES and not self._collects:
            self._connection.pause()
        self._wake()

    def end(self, *, torn: bool = False) -> None:
        """Says that nothing more comes of the body: it is whole, or its sender is gone."""
        self.complete, self._torn = self.complete or not torn, torn
        self.begins_unread |= torn
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- beyond RSGI -----------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """How much of the body is here."""
        return self._buffered

    def body(self) -> bytes:
        """The body, where it is complete; it stays there for who reads it again."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def is_gone(self) -> bool:
        """Whether the client left, or at least ended its side: most that do so wait no more."""
        return self._connection.is_gone

    def finish(self) -> None:
        """Says that the request, which was taken at once, is answered."""
        self._connection.finished(self)

    # -- the application's side ---------------------------------------------------------------

    async def __call__(self) -> bytes:
        """The whole body; who calls looked at its declared length. Errors: ``http.torn_body``.

        It waits in memory, however much it is.
        """
        if not self.complete:
            self._collects = True
            while not self.complete:
                await self._more()
        return self._take()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next part of the body. Errors: ``http.torn_body``."""
        while not self._parts:
            if self.complete:
                raise StopAsyncIteration
            await self._more()
        return self._take()

    def response_empty(self, status: int, headers: Headers) -> None:
        """Answers without a body; a Content-Length among the headers is what GET would bring."""
        self._check_unanswered()
        self._connection.answer(self, status, headers, b"")
        self.answered = True

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answers with bytes."""
        self._check_unanswered()
        self._connection.answer(self, status, headers, body)
        self.answered = True

    def response_file_range(
        self, status: int, headers: Headers, path: str, start: int, end: int
    ) -> None:
        """Answers with bytes of a file, read as fast as the client takes them."""
        self._check_unanswered()
        self._connection.answer_file(self, status, headers, (path, start, end))
        self.answered = True

    def response_stream(self, status: int, headers: Headers) -> Connection:
        """Answers piece by piece: ``await`` its ``send_bytes`` for each; it ends with the handler."""
        self._check_unanswered()
        self._connection.begin_stream(self, status, headers)
        self.answered = True
        return self._connection

    def close(self, _status: int | None = None) -> None:
        """Ends the connection: for protocols that this server does not speak."""
        self._check_unanswered()
        self._connection.abort()
        self.answered = True

    def _check_unanswered(self) -> None:
        if self.answered:
            raise RuntimeError("the request was answered already")

    async def _more(self) -> None:
        if self._torn:
            raise Invalid("http.torn_body", "The body ended before it was whole.")
        if self.expects_continue and not self.answered:
            self.expects_continue = False
            self._connection.say_continue()
        self._connection.resume()
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _take(self) -> bytes:
        parts, self._parts, self._buffered = self._parts, [], 0
        return parts[0] if len(parts) == 1 else b"".join(parts)
