"""The writing half of a connection: whole answers, files and streams, at the client's pace."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, cast

from mainspring._entrypoints._http.heads import CONTINUE, answer_head, refusal
from mainspring._entrypoints._http.messages import Headers

if TYPE_CHECKING:
    from mainspring._entrypoints._http.exchange import Exchange

STALLED_SECONDS: Final = 120.0
_JOINED_BYTES: Final = 64 * 1024
_FILE_BYTES: Final = 1 << 20
_WITHOUT_BODY: Final = frozenset({204, 304})
_NAME_LENGTH: Final = len("content-length")
_BROKEN: Final = 500


class Replies:
    """Writes to one transport. Event loop only."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._lost = False
        self._streams = self._chunked = self._silent = False
        self._owed_bytes: int | None = None  # what a stream of a declared length has still to bring
        self._sending: asyncio.Task[None] | None = None
        self._writing_stopped = False
        self._room: asyncio.Future[None] | None = None
        self._unsent = (0, 0.0)  # bytes that wait for the client, and since when they are so many

    # -- asyncio's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once, before anything else."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        """Called once, after everything else."""
        self._lost = True
        self.resume_writing()

    def pause_writing(self) -> None:
        """More waits for the client than should."""
        self._writing_stopped = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._writing_stopped = False
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def abort(self) -> None:
        """Ends the connection at once: the client sees that its answer is not whole."""
        self._transport.abort()

    def _look_at_writing(self, now: float) -> None:
        size, since = self._unsent
        left = self._transport.get_write_buffer_size()
        if left != size or not left:
            self._unsent = (left, now)
        elif now - since > STALLED_SECONDS:
            self.abort()

    # -- answers ------------------------------------------------------------------------------

    def say_continue(self) -> None:
        """Tells a client that asks first that its body is wanted."""
        if not self._lost:
            self._transport.write(CONTINUE)

    def answer(self, exchange: Exchange, status: int, headers: Headers, body: bytes) -> None:
        """Sends a whole answer. A Content-Length among the headers has to be true, but of HEAD."""
        if self._lost:
            return
        more, is_head = _ending(exchange), exchange.scope.method == "HEAD"
        if status in _WITHOUT_BODY:
            body = b""
        elif (declared := _declared(headers)) is None:
            if body or not is_head:
                more += f"content-length: {len(body)}\r\n"
        elif declared != len(body) and not is_head:
            raise ValueError("an answer is not as long as it declares")
        head = answer_head(status, headers, more)
        if is_head:
            body = b""
        if len(body) > _JOINED_BYTES:
            self._transport.writelines([head, body])
        else:
            self._transport.write(head + body)

    def answer_file(
        self, exchange: Exchange, status: int, headers: Headers, part: tuple[str, int, int]
    ) -> None:
        """Sends bytes of a file; the connection's next request waits for it."""
        path, start, end = part
        more = _ending(exchange)
        declared = _declared(headers)
        if declared is None:
            more += f"content-length: {end - start}\r\n"
        elif declared != end - start:
            raise ValueError("an answer is not as long as it declares")
        head = answer_head(status, headers, more)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        start = end if exchange.scope.method == "HEAD" else start
        sending = self._send_file(head, descriptor, start, end)
        self._sending = asyncio.get_running_loop().create_task(sending)

    async def _send_file(self, head: bytes, descriptor: int, start: int, end: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._write(head)
            while start < end:
                size = min(end - start, _FILE_BYTES)
                data = await loop.run_in_executor(None, _part, descriptor, size, start)
                await self._write(data)
                start += len(data)
        except ConnectionError:
            pass  # the client left
        except OSError:
            self.abort()
            raise
        finally:
            os.close(descriptor)
            self._sending = None

    def begin_stream(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Sends a head whose body comes with :meth:`send_bytes`."""
        more, owed = "", _declared(headers)
        self._silent = exchange.scope.method == "HEAD" or status in _WITHOUT_BODY
        if self._silent:
            owed = None
        elif owed is None and exchange.scope.http_version == "1.1":
            more = "transfer-encoding: chunked\r\n"
        elif owed is None:
            exchange.keep_alive = False
        head = answer_head(status, headers, more + _ending(exchange))
        self._streams, self._chunked, self._owed_bytes = True, bool(more), owed
        if not self._lost:
            self._transport.write(head)

    async def send_bytes(self, data: bytes) -> None:
        """Sends a piece; returns once there is room for the next. Errors: ``ConnectionError``."""
        if not self._streams:
            raise RuntimeError("no answer is being sent piece by piece")
        if self._silent:
            data = b""
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        elif self._owed_bytes is not None:
            if len(data) > self._owed_bytes:
                raise ValueError("a stream is longer than it declares")
            self._owed_bytes -= len(data)
        await self._write(data)

    async def _write(self, data: bytes) -> None:
        if self._lost:
            raise ConnectionResetError("the client left")
        self._transport.write(data)
        if self._writing_stopped:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
            if self._lost:
                raise ConnectionResetError("the client left")

    def _end_answer(self, exchange: Exchange, *, failed: bool) -> None:
        """What an answer still needs once its handler is done."""
        chunked, owed = self._chunked, self._owed_bytes
        self._streams, self._chunked, self._owed_bytes = False, False, None
        if not exchange.answered:
            self._transport.write(refusal(_BROKEN))
            exchange.keep_alive = False
        elif failed or owed:
            self.abort()
        elif chunked:
            self._transport.write(b"0\r\n\r\n")


def _part(descriptor: int, size: int, start: int) -> bytes:
    data = os.pread(descriptor, size, start)
    if not data:
        raise OSError("the file is shorter than it was")
    return data


def _ending(exchange: Exchange) -> str:
    exchange.keep_alive &= exchange.complete  # what is left of a body is not read as a request
    if not exchange.keep_alive:
        return "connection: close\r\n"
    return "connection: keep-alive\r\n" if exchange.scope.http_version == "1.0" else ""


def _declared(headers: Headers) -> int | None:
    """The Content-Length among headers, if any."""
    for name, value in headers:
        if len(name) == _NAME_LENGTH and name.lower() == "content-length":
            return int(value)
    return None
