"""One client's connection: requests in their order, each answered before the next is begun.

All happens on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from mainspring._entrypoints._http.exchange import Exchange
from mainspring._entrypoints._http.heads import refusal
from mainspring._entrypoints._http.replies import Replies
from mainspring._entrypoints._http.requests import Requests

if TYPE_CHECKING:
    from mainspring._entrypoints._http.listening import Listener

HEAD_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 120.0  # longer than the load balancers before us keep theirs
_SMALL_SECONDS: Final = 2.0  # how long a handler waits for a short body to be there
_MOST_QUEUED: Final = 16
# What is left of a refused body is read and thrown away, so that the client sees the answer.
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 64 << 20
_TOO_SLOW: Final = 408
log = logging.getLogger("mainspring.http")


class Connection(Replies, asyncio.Protocol):
    """Begins requests and ends them. Made by a listener for each client."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener
        self._requests = Requests(self, "")
        self._current: Exchange | None = None
        self._lingers = self._at_end = self._paused = False
        self._discarded_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._deadline = time.monotonic() + HEAD_SECONDS

    # -- asyncio's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = self._transport.get_extra_info("peername")
        self._requests = Requests(self, f"{peer[0]}:{peer[1]}" if peer else "")
        if self._listener.is_stopping:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._requests.end()
        self._requests.queue.clear()
        self._listener.gone(self)

    def eof_received(self) -> bool:
        self._at_end = True
        self._requests.end()
        return self._is_busy()

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > _LINGER_BYTES:
                self.abort()
            return
        status = self._requests.feed(data)
        if status is not None:
            self._refuse(status)
        self._advance()

    def _is_busy(self) -> bool:
        return self._current is not None or bool(self._requests.queue)

    # -- the requests' side -------------------------------------------------------------------

    def expect_head(self) -> None:
        """A head has begun: the rest of it has a time to come."""
        self._deadline = time.monotonic() + HEAD_SECONDS

    def expect_body(self) -> None:
        """A head is whole: a short body is waited for."""
        self._deadline = time.monotonic() + _SMALL_SECONDS

    def pause(self) -> None:
        """Lets the client wait with what it sends."""
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Takes more from the client."""
        if self._paused and not self._lost:
            self._paused = False
            self._transport.resume_reading()

    # -- one request after the other ----------------------------------------------------------

    def _advance(self) -> None:
        queue = self._requests.queue
        while queue and self._current is None and (queue[0].complete or queue[0].begins_unread):
            self._begin(queue.popleft())
        if len(queue) > _MOST_QUEUED:
            self.pause()

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        exchange.keep_alive &= not self._listener.is_stopping
        begun = self._listener.app.__rsgi__(exchange.scope, exchange)
        self._task = asyncio.get_running_loop().create_task(begun)
        self._task.add_done_callback(lambda task: self._done(exchange, task))

    def _done(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        self._task = None
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            self.abort()
        self._finish(exchange, error)
        self._advance()

    def _finish(self, exchange: Exchange, error: BaseException | None) -> None:
        if self._sending is not None:  # a file still goes out
            self._sending.add_done_callback(lambda sent: self._done(exchange, sent))
            return
        self._current = None
        if self._lost:
            return
        if error is not None:
            log.error("unexpected error in %s", exchange.scope.path[:200], exc_info=error)
        self._end_answer(exchange, failed=error is not None)
        ends = self._listener.is_stopping or not exchange.keep_alive
        if not exchange.complete:
            self._linger()
        elif ends or (self._at_end and not self._requests.queue):
            self._transport.close()
        else:
            self.resume()
            self._deadline = time.monotonic() + IDLE_SECONDS

    def _linger(self) -> None:
        self._lingers, self._deadline = True, time.monotonic() + _LINGER_SECONDS
        self._requests.queue.clear()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self.resume()

    def _refuse(self, status: int) -> None:
        """Nothing further is read as a request; what is under way is answered."""
        self._requests.end()
        queue = self._requests.queue
        last = queue[-1] if queue else self._current
        if last is not None:
            last.keep_alive = False
            self.pause()
        else:
            self._transport.write(refusal(status))
            self._linger()

    # -- the listener's side ------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Closes the connection when nothing came of it for too long."""
        self._look_at_writing(now)
        if self._current is not None or now < self._deadline:
            return
        if self._requests.queue:  # a body that drips: its handler has patience, and an end to it
            self._requests.queue[0].begins_unread = True
            self._advance()
        elif self._lingers:
            self.abort()
        elif self._requests.head_bytes:
            self._refuse(_TOO_SLOW)
        else:
            self._transport.close()

    def leave(self) -> None:
        """Ends the connection, after the answer to what it asked."""
        if not self._is_busy():
            self._transport.close()
