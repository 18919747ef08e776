"""The other front: an RSGI application behind any server or framework that speaks ASGI.

Source: the ASGI specification 3.0 (HTTP connection scope, and lifespan).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from mainspring._entrypoints._http.errors import encode_error
from mainspring._entrypoints._http.exchange import Fields, Scope
from mainspring._entrypoints._http.listening import Rsgi
from mainspring._entrypoints._http.messages import Headers
from mainspring.core.errors import Invalid, MainspringError, Unavailable

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_FILE_BYTES: Final = 1 << 20
_WITHOUT_LENGTH: Final = frozenset({204, 304})


class Asgi:
    """An ASGI 3 application. ``life`` gives the application within, from startup to shutdown.

    A framework that it is mounted in does not tell it of its startup: hand :meth:`lifespan` on.
    """

    def __init__(self, life: Callable[[], AbstractAsyncContextManager[Rsgi]]) -> None:
        self._life = life
        self._app: Rsgi | None = None

    @asynccontextmanager
    async def lifespan(self, _outer: Any = None) -> AsyncIterator[None]:
        """Answers within; as a framework's ``lifespan`` it is called with the outer application."""
        async with self._life() as app:
            self._app = app
            try:
                yield
            finally:
                self._app = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": f"{scope['type']}.close"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        moment = "startup"
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
                moment = "shutdown"
        except (MainspringError, OSError) as error:
            await send({"type": f"lifespan.{moment}.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        call = _Call(receive, send)
        if self._app is None:
            error = Unavailable(
                "http.not_started",
                "The application was not started.",
                hint="Hand its lifespan on to the application that it is mounted in.",
            )
            call.response_bytes(503, [("content-type", "application/json")], encode_error(error)[1])
        else:
            await self._app.__rsgi__(_scope(scope), call)
        await call.finish(is_head=scope["method"] == "HEAD")


class _Call:
    """One request's body and its answer, in RSGI's shape (as ``exchange.Exchange``)."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_read = False
        self._head: tuple[int, Headers] | None = None
        self._body: bytes | tuple[str, int, int] = b""
        self._has_begun = False

    async def __call__(self) -> bytes:
        return b"".join([part async for part in self])

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next part of the body, never an empty one. Errors: ``http.torn_body``."""
        while not self._is_read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Invalid("http.torn_body", "The body ended before it was whole.")
            self._is_read = not message.get("more_body", False)
            if part := message.get("body"):
                return bytes(part)
        raise StopAsyncIteration

    def response_empty(self, status: int, headers: Headers) -> None:
        self._answers(status, headers)

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        if status not in _WITHOUT_LENGTH and not _declares(headers):
            headers = [*headers, ("content-length", str(len(body)))]
        self._answers(status, headers)
        self._body = body

    def response_file_range(
        self, status: int, headers: Headers, path: str, start: int, end: int
    ) -> None:
        if not _declares(headers):
            headers = [*headers, ("content-length", str(end - start))]
        self._answers(status, headers)
        self._body = (path, start, end)

    def response_stream(self, status: int, headers: Headers) -> _Call:
        self._answers(status, headers)
        return self

    async def send_bytes(self, data: bytes) -> None:
        """Sends a piece; the server takes it at its client's pace."""
        await self._begin()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, *, is_head: bool) -> None:
        """Sends what the handler has left to be sent."""
        await self._begin()
        if isinstance(self._body, bytes):
            body = b"" if is_head else self._body
            await self._send({"type": "http.response.body", "body": body})
            return
        if not is_head:
            async for part in _parts(*self._body):
                await self.send_bytes(part)
        await self._send({"type": "http.response.body", "body": b""})

    def _answers(self, status: int, headers: Headers) -> None:
        if self._head is not None:
            raise RuntimeError("the request was answered already")
        self._head = (status, headers)

    async def _begin(self) -> None:
        if self._has_begun:
            return
        if self._head is None:
            raise RuntimeError("the request was not answered")
        self._has_begun = True
        status, headers = self._head
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})


def _scope(scope: Message) -> Scope:
    """The request's head in RSGI's shape; a path below where the application is mounted."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    if root and path.startswith(f"{root}/"):
        path = path[len(root) :]
    pairs = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in scope["headers"]
    ]
    made = Scope(
        scope["method"], path, scope.get("query_string", b"").decode("latin-1"), Fields(pairs)
    )
    made.http_version = scope.get("http_version", "1.1")
    if client := scope.get("client"):
        made.client = f"{client[0]}:{client[1]}"
    return made


async def _parts(path: str, start: int, end: int) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while start < end:
            size = min(end - start, _FILE_BYTES)
            data = await loop.run_in_executor(None, os.pread, descriptor, size, start)
            if not data:
                raise OSError("the file is shorter than it was")
            yield data
            start += len(data)
    finally:
        os.close(descriptor)


def _declares(headers: Headers) -> bool:
    return any(name.lower() == "content-length" for name, _ in headers)
