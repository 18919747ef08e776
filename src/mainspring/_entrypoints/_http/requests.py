"""From a connection's bytes to its requests, in their order.

The bytes are parsed by llhttp, the parser of Node.js, in its strict form: a line that ends in a bare
LF, two lengths, or a length beside chunks is no request. It sets no limits; those are here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NoReturn

import httptools

from mainspring._entrypoints._http.exchange import Exchange, Fields, Scope
from mainspring._entrypoints._http.heads import field_name, split_target

if TYPE_CHECKING:
    from mainspring._entrypoints._http.connection import Connection

HEAD_BYTES: Final = 128 * 1024  # of a head, of trailers, of what stands between two chunks
_MOST_FIELDS: Final = 200
_VERSIONS: Final = frozenset({"1.1", "1.0"})
# A body of this size is waited for, a moment, before its handler is called at all.
_SMALL_BYTES: Final = 64 * 1024


class Requests:
    """What the parser calls; ``queue`` holds the requests that were not begun yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.client = ""
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._fields: list[tuple[str, str]] = []
        self.in_head = False  # a head has begun and is not whole yet
        self._refusal: int | None = None
        self._unused_bytes = 0  # came since something was last made of what came
        self.reading: Exchange | None = None  # whose body comes now
        self.queue: deque[Exchange] = deque()

    def feed(self, data: bytes | memoryview) -> int | None:
        """Takes bytes; the status to refuse with when they are no request."""
        self._unused_bytes += len(data)
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_offer() + bytes(data[upgrade.args[0] :])
                continue
            except httptools.HttpParserCallbackError:
                if self._refusal is None:
                    raise
                return self._refusal
            except httptools.HttpParserError:
                return 400
            return 431 if self._unused_bytes > HEAD_BYTES else None

    def end(self) -> None:
        """Says that nothing more comes."""
        reading, self.reading = self.reading, None
        if reading is not None:
            reading.end(torn=True)

    def forget(self) -> None:
        """Lets go of the parser and the connection: circles wait long for the garbage collector."""
        self.queue.clear()
        del self._parser, self._connection

    def _without_offer(self) -> bytes:
        """The head of a request that offered another protocol, without the offer, for a new parser.

        Java's client offers HTTP/2 with its first request, also with one that has a body (RFC 9110,
        7.8); the old parser takes what follows for the other protocol.
        """
        method, version = self._parser.get_method(), self._parser.get_http_version()
        lines = [f"{name}: {value}\r\n" for name, value in self._fields if name != "upgrade"]
        head = b"%b %b HTTP/%b\r\n" % (method, self._target, version.encode())
        self._parser = httptools.HttpRequestParser(self)
        return head + "".join(lines).encode("latin-1") + b"\r\n"

    def _refuse(self, status: int) -> NoReturn:
        self._refusal = status
        raise ValueError("the parser stops here")

    # -- the parser's side --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.in_head, self._target, self._fields = True, b"", []
        self._connection.expect_head()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:  # a trailer: nobody here wants one
            return
        if len(self._fields) >= _MOST_FIELDS:
            self._refuse(431)
        self._fields.append((field_name(name), value.rstrip(b" \t").decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.in_head, self._unused_bytes = False, 0
        parser = self._parser
        method = parser.get_method().decode("latin-1")
        version = parser.get_http_version()
        if version not in _VERSIONS:
            self._refuse(505)
        if parser.should_upgrade():
            if method == "CONNECT":
                self._refuse(501)
            return  # the head comes again
        authority, path, query = split_target(self._target)
        scope = Scope(method, path, query, Fields(self._fields))
        scope.authority, scope.client, scope.http_version = authority, self.client, version
        exchange = Exchange(self._connection, scope)
        exchange.keep_alive = parser.should_keep_alive()
        for name, value in self._fields:
            if name == "content-length":
                exchange.begins_unread |= int(value) > _SMALL_BYTES
            elif name == "transfer-encoding":
                if value.lower() != "chunked" or version == "1.0":  # others frame it differently
                    self._refuse(501)
                exchange.begins_unread = True
            elif name == "expect" and value.lower() == "100-continue" and version == "1.1":
                exchange.begins_unread = exchange.expects_continue = True
        self.reading = exchange
        self.queue.append(exchange)
        self._connection.expect_body()

    def on_body(self, data: bytes) -> None:
        self._unused_bytes = 0
        if self.reading is not None:
            self.reading.feed(data)

    def on_message_complete(self) -> None:
        reading, self.reading, self._unused_bytes = self.reading, None, 0
        if reading is not None:
            reading.end()
