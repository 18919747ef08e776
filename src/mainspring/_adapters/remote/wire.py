"""Requests to a server: one connection per thread that is kept, errors as the server meant them."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from mainspring.core.errors import (
    Broken,
    Conflict,
    Denied,
    Fact,
    Invalid,
    MainspringError,
    NotFound,
    TimedOut,
    Unavailable,
)

T = TypeVar("T")
PREFIX: Final = "/api/v1"
PACKED: Final = "application/msgpack"
TIMEOUT_SECONDS: Final = 10.0
_BLOCK_BYTES: Final = 1 << 20
_KINDS: Final[dict[int, type[MainspringError]]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    500: Broken,
    503: Unavailable,
    504: TimedOut,
    507: Unavailable,
}
_LEAST_FAULT: Final = 400


class _Fault(msgspec.Struct):
    code: str
    message: str
    hint: str = ""
    facts: dict[str, Fact] = {}


class Wire:
    """A server by its address, asked with a token.

    Concurrency: may be used by any thread; each keeps a connection of its own.
    Errors: ``remote.away`` when it cannot be reached, ``remote.not_mainspring`` when something
    else answers, and whatever the server says.
    """

    def __init__(
        self, address: str, token: str = "", *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Invalid(
                "remote.bad_address",
                f"{address[:80]!r} is not the address of a server.",
                hint="Write http://HOST:PORT or https://HOST.",
            )
        self.address = address.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/") + PREFIX
        self._headers = {"accept": PACKED, "user-agent": "mainspring"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._timeout_seconds = timeout_seconds
        self._own = threading.local()
        self._all: set[http.client.HTTPConnection] = set()

    def get(self, kind: type[T], *segments: str, **query: Any) -> T:
        """An answer as a value."""
        return self._value(kind, self._ask("GET", self._path(segments, query)))

    def get_as(self, accept: str, *segments: str, **query: Any) -> tuple[bytes, str | None]:
        """The bytes of an answer in a form of its own, and the token of the next page."""
        response = self._open("GET", self._path(segments, query), None, accept=accept)
        data = self._read(response)
        self._check(response, data)
        return data, response.getheader("x-next-token")

    def send(self, kind: type[T], method: str, *segments: str, body: Any = None) -> T:
        """What a change answers, as a value."""
        data = None if body is None else msgspec.msgpack.encode(body)
        return self._value(kind, self._ask(method, self._path(segments, {}), data))

    def upload(
        self, kind: type[T], chunks: bytes | Iterable[bytes], *segments: str, **query: Any
    ) -> T:
        """What a PUT of bytes answers. A stream is sent once: it cannot be taken back."""
        data = chunks if isinstance(chunks, bytes) else iter(chunks)
        return self._value(kind, self._ask("PUT", self._path(segments, query), data))

    def stream(self, *segments: str) -> Iterator[bytes]:
        """The bytes of an answer, block by block."""
        response = self._open("GET", self._path(segments, {}), None)
        with response:
            self._check(response, b"") if response.status < _LEAST_FAULT else self._check(
                response, response.read()
            )
            while block := response.read(_BLOCK_BYTES):
                yield block

    def close(self) -> None:
        """Lets go of every connection, of other threads too."""
        for connection in list(self._all):
            connection.close()
        self._all.clear()

    # -- inside ---------------------------------------------------------------------------------

    def _path(self, segments: Iterable[str], query: dict[str, Any]) -> str:
        path = self._prefix + "".join(f"/{quote(part, safe='/')}" for part in segments)
        pairs = [(name, value) for name, value in query.items() if value not in (None, ())]
        return f"{path}?{urlencode(pairs, doseq=True)}" if pairs else path

    def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        response = self._open(method, path, body)
        data = self._read(response)
        self._check(response, data)
        return data

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            self._away(error)

    def _open(
        self, method: str, path: str, body: Any, *, accept: str = PACKED
    ) -> http.client.HTTPResponse:
        """The beginning of an answer; asked once more on a new connection when an old one broke.

        That is safe, because everything that is asked may be asked twice.
        """
        kept = self._connection()
        fresh = kept.sock is None
        headers = {**self._headers, "accept": accept}
        if body is not None:
            headers["content-type"] = PACKED
        try:
            return self._once(kept, method, path, body, headers)
        except TimeoutError as error:
            self._away(error)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            if fresh or not (body is None or isinstance(body, bytes)):
                self._away(error)
        try:
            return self._once(self._connection(), method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._away(error)

    def _once(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Any,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        if connection.sock is None:
            connection.connect()  # without Nagle's delay: http.client sees to that
        chunked = body is not None and not isinstance(body, bytes)
        connection.request(method, path, body=body, headers=headers, encode_chunked=chunked)
        return connection.getresponse()

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if found is None:
            timeout = self._timeout_seconds
            if self._secure:
                context = ssl.create_default_context()
                found = http.client.HTTPSConnection(
                    self._host, self._port, timeout=timeout, context=context
                )
            else:
                found = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
            self._own.connection = found
            self._all.add(found)
        return found

    def _drop(self) -> None:
        found: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if found is not None:
            found.close()
            self._all.discard(found)
            self._own.connection = None

    def _away(self, error: Exception) -> NoReturn:
        self._drop()
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unavailable(
            "remote.away",
            f"The server {self.address} cannot be reached ({reason}).",
            hint="Is it running ('mainspring server')? Check MAINSPRING_URL.",
            address=self.address,
        ) from error

    def _check(self, response: http.client.HTTPResponse, data: bytes) -> None:
        if response.status < _LEAST_FAULT:
            return
        code, message, hint = "remote.refused", f"The server answered {response.status}.", ""
        try:
            fault = msgspec.json.decode(data, type=_Fault)
            code, message, hint = fault.code, fault.message, fault.hint
        except msgspec.MsgspecError:
            raise self._foreign(response.status) from None
        if fault.code == "http.no_such_address":
            raise self._foreign(response.status)
        kind = _KINDS.get(response.status, Unavailable)
        raise kind(code, message, hint=hint, **fault.facts)

    def _foreign(self, status: int) -> Unavailable:
        return Unavailable(
            "remote.not_mainspring",
            f"What answers at {self.address} is not a Mainspring server, or of another version "
            f"(status {status}).",
            hint="Check MAINSPRING_URL, and whether a proxy stands before the server.",
            address=self.address,
        )

    def _value(self, kind: type[T], data: bytes) -> T:
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._foreign(200) from error
