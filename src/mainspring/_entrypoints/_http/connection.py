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
    from mainspring._entrypoints._http.listening import AtOnce, Listener

HEAD_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 120.0  # longer than the load balancers before us keep theirs
_SMALL_SECONDS: Final = 2.0  # how long a handler waits for a short body to be there
# Requests that wait for their turn; so much is parsed at once, then looked how many they are.
_MOST_QUEUED: Final = 16
_AT_ONCE_BYTES: Final = 16 * 1024
# What is left of a refused body is read and thrown away, so that the client sees the answer.
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 64 << 20
_TOO_SLOW: Final = 408
_NOTHING: Final = memoryview(b"")
log = logging.getLogger("mainspring.http")


class Connection(Replies, asyncio.Protocol):
    """Begins requests and ends them. Made by a listener for each client."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener
        self._requests = Requests(self)
        self._held = _NOTHING  # of what came, not parsed yet
        self._current: Exchange | None = None
        self._is_deaf = False  # nothing further is read as a request
        self._at_end = self._paused = self._advances = False
        self._discarded_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._deadline = time.monotonic() + HEAD_SECONDS

    # -- asyncio's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = self._transport.get_extra_info("peername")
        self._requests.client = f"{peer[0]}:{peer[1]}" if peer else ""
        self._listener.came(self)
        if self._listener.is_stopping:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._requests.end()
        self._be_deaf()
        self._requests.forget()
        self._listener.gone(self)

    def eof_received(self) -> bool:
        self._at_end = True
        self._requests.end()
        self._advance()
        return self._is_busy()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._lost:
            self._advance()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > _LINGER_BYTES:
                self.abort()
            return
        if len(data) > _AT_ONCE_BYTES:
            self._held = memoryview(data)
        else:
            self._parse(data)
        self._advance()

    @property
    def is_gone(self) -> bool:
        """Whether the client left, or ended its side."""
        return self._lost or self._at_end

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

    def _parse(self, data: bytes | memoryview) -> None:
        status = self._requests.feed(data)
        if status is not None:
            self._refuse(status)

    def _advance(self) -> None:
        if self._advances:  # called by what was begun below, and answered at once
            return
        self._advances = True
        while self._begin_next():
            pass
        self._advances = False

    def _begin_next(self) -> bool:
        """Parses what is held while few wait, and begins the next request in its turn.

        It waits, too, for a client that does not take the answers it got. True when the request was
        answered at once, so that there may be another.
        """
        queue = self._requests.queue
        while self._held and len(queue) <= _MOST_QUEUED:
            part, self._held = self._held[:_AT_ONCE_BYTES], self._held[_AT_ONCE_BYTES:]
            self._parse(part)
        if len(queue) > _MOST_QUEUED:
            self.pause()
        may_begin = queue and self._current is None and not self._writing_stopped
        if may_begin and (queue[0].complete or queue[0].begins_unread):
            self._begin(queue.popleft())
            return self._current is None
        return False

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        exchange.keep_alive &= not self._listener.is_stopping
        at_once = self._listener.at_once
        if at_once is not None and exchange.complete and self._is_taken(at_once, exchange):
            return
        begun = self._listener.app.__rsgi__(exchange.scope, exchange)
        self._task = asyncio.get_running_loop().create_task(begun)
        self._task.add_done_callback(lambda task: self._done(exchange, task))

    def _is_taken(self, at_once: AtOnce, exchange: Exchange) -> bool:
        try:
            return at_once(exchange)
        except Exception as error:  # noqa: BLE001 - the process edge, as a task would be
            self._finish(exchange, error)
            return True

    def finished(self, exchange: Exchange) -> None:
        """Called when a request is answered that was taken at once."""
        self._finish(exchange, None)
        self._advance()

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
        if self._transport.is_closing():
            self._be_deaf()
            return
        ends = self._listener.is_stopping or not (exchange.keep_alive and exchange.complete)
        if ends or (self._at_end and not self._requests.queue):
            self._close(is_read=exchange.complete)
        elif not self._is_deaf:
            self.resume()
            self._deadline = time.monotonic() + self._patience()

    def _patience(self) -> float:
        if self._requests.queue:
            return _SMALL_SECONDS
        return HEAD_SECONDS if self._requests.in_head else IDLE_SECONDS

    def _close(self, *, is_read: bool) -> None:
        """Ends the connection after what was written. Closed on unread bytes, TCP would take it back."""
        is_read &= not (self._is_deaf or self._requests.queue or self._requests.in_head)
        self._be_deaf()
        if is_read or self._at_end:
            self._transport.close()
        else:
            self._linger()

    def _be_deaf(self) -> None:
        self._is_deaf, self._held = True, _NOTHING
        self._requests.queue.clear()

    def _linger(self) -> None:
        self._deadline = time.monotonic() + _LINGER_SECONDS
        self.resume()
        if not self._transport.is_closing():
            try:
                self._transport.write_eof()
            except OSError:  # the client left
                self.abort()

    def _refuse(self, status: int) -> None:
        """Nothing further is read as a request; what is under way is answered."""
        self._requests.end()
        self._is_deaf, self._held = True, _NOTHING
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
        elif self._is_deaf:
            if not self._transport.get_write_buffer_size():
                self.abort()
        elif self._requests.in_head:
            self._refuse(_TOO_SLOW)
        else:
            self._transport.close()

    def leave(self) -> None:
        """Ends the connection, after the answer to what it asked."""
        if self._current is not None:
            self._current.keep_alive = False
        elif not (self._requests.queue or self._is_deaf):
            self._transport.close()
