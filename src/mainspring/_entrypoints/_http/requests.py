"""From a connection's bytes to its requests, in their order.

The bytes are parsed by llhttp, the parser of Node.js, in its strict form: a line that ends in a bare
LF, two lengths, or a length beside chunks is no request.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import httptools

from mainspring._entrypoints._http.exchange import Exchange, Fields, Scope
from mainspring._entrypoints._http.heads import field_name, split_target

if TYPE_CHECKING:
    from mainspring._entrypoints._http.connection import Connection

HEAD_BYTES: Final = 128 * 1024
_MOST_FIELDS: Final = 200
# A body of this size is waited for, a moment, before its handler is called at all.
_SMALL_BYTES: Final = 64 * 1024


class Requests:
    """What the parser calls; ``queue`` holds the requests that were not begun yet."""

    def __init__(self, connection: Connection, client: str) -> None:
        self._connection = connection
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._fields: list[tuple[str, str]] = []
        self._in_head = True
        self.head_bytes = 0  # of a head that is not whole yet
        self.reading: Exchange | None = None  # whose body comes now
        self.queue: deque[Exchange] = deque()

    def feed(self, data: bytes) -> int | None:
        """Takes bytes; the status to refuse with when they are no request (0: another protocol)."""
        if self._in_head:
            self.head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return 0
        except httptools.HttpParserCallbackError:
            return 431
        except httptools.HttpParserError:
            return 400
        return 431 if self.head_bytes > HEAD_BYTES else None

    def end(self) -> None:
        """Says that nothing more comes."""
        if self.reading is not None:
            self.reading.end(torn=True)

    # -- the parser's side --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_head, self._target, self._fields = True, b"", []
        self._connection.expect_head()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer: nobody here wants one
            return
        if len(self._fields) >= _MOST_FIELDS:
            raise ValueError("too many header fields")
        self._fields.append((field_name(name), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._in_head, self.head_bytes = False, 0
        parser = self._parser
        authority, path, query = split_target(self._target)
        scope = Scope(parser.get_method().decode("latin-1"), path, query, Fields(self._fields))
        scope.authority, scope.client = authority, self._client
        scope.http_version = parser.get_http_version()
        exchange = Exchange(self._connection, scope)
        exchange.keep_alive = parser.should_keep_alive()
        for name, value in self._fields:
            if name == "content-length":
                exchange.begins_unread |= int(value) > _SMALL_BYTES
            elif name == "transfer-encoding":
                exchange.begins_unread = True
            elif name == "expect" and value.lower() == "100-continue":
                exchange.begins_unread = exchange.expects_continue = True
        self.reading = exchange
        self.queue.append(exchange)
        self._connection.expect_body()

    def on_body(self, data: bytes) -> None:
        if self.reading is not None:
            self.reading.feed(data)

    def on_message_complete(self) -> None:
        reading, self.reading, self._in_head = self.reading, None, True
        if reading is not None:
            reading.end()
