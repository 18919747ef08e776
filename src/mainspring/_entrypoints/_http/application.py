"""The RSGI application: doors, router, body, handler, answer.

RSGI is the server's native interface: one coroutine per request, the body read on demand. Hot
handlers run inline and give back a future that the database's writer resolves, so a thousand
waiting clients hold no thread; all others run in a bounded pool.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from mainspring._entrypoints._http import bodies
from mainspring._entrypoints._http.counting import Counted
from mainspring._entrypoints._http.doors import Doors, check_content_type
from mainspring._entrypoints._http.errors import encode_error, error_headers
from mainspring._entrypoints._http.futures import awaited
from mainspring._entrypoints._http.messages import Answer, FilePart, Headers, Request, Response
from mainspring._entrypoints._http.routing import ErrorEncoder, Mount, Route, Router
from mainspring.core.actor import Actor
from mainspring.core.errors import Broken, Invalid, MainspringError, NotFound, TimedOut, Unavailable

THREADS: Final = 24
STREAMS: Final = 64
MAX_WAITING: Final = 4096
_ONCE: Final = ("host", "content-length", "authorization", "origin", "content-type")
_STREAM_CHUNK_TIMEOUT_SECONDS: Final = 120

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
SECURITY: Final[Headers] = [
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
]
log = logging.getLogger("mainspring.http")


class Application:
    """Mounts behind doors. Every answer carries the security headers."""

    def __init__(
        self,
        mounts: Sequence[Mount],
        doors: Doors,
        *,
        counted: Counted | None = None,
        threads: int = THREADS,
    ) -> None:
        self.doors = doors
        self.counted = counted or Counted()
        self.router = Router([route for mount in mounts for route in mount.routes])
        self._encoders = _encoders(mounts)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mainspring-http")
        # Apart, so that slow uploads and downloads hold up nobody else.
        self._streams = ThreadPoolExecutor(STREAMS, thread_name_prefix="mainspring-stream")
        self._waiting = 0

    def close(self) -> None:
        """Finishes what the threads are doing."""
        self._pool.shutdown(wait=True)
        self._streams.shutdown(wait=True)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.proto != "http":
            protocol.close(403)
            return
        started = time.perf_counter()
        self.counted.under_way += 1
        try:
            response = await self._answer(scope, protocol)
        except MainspringError as error:
            response = self._error(scope.path, error)
        except Exception:  # the process edge: a bug answers 500 and leaves its trace in the log
            log.exception("unexpected error in %s %s", scope.method, scope.path[:200])
            response = self._error(scope.path, Broken("http.bug", "The server made a mistake."))
        finally:
            self.counted.under_way -= 1
        found = self.router.find(scope.method, scope.path)
        seconds = time.perf_counter() - started
        self.counted.add(found[0] if found else None, response.status, seconds)
        await self._send(scope.method, protocol, response)

    async def _answer(self, scope: Any, protocol: Any) -> Response:
        headers = _headers(scope.headers.items())
        method, path = scope.method, scope.path
        self.doors.check(method, headers, scope.authority)
        if "\ufffd" in path:  # what the server puts in place of bytes that are not UTF-8
            raise Invalid("http.bad_path", "The path is not valid UTF-8.", hint="Encode it so.")
        found = self.router.find(method, path)
        actor = self.doors.admit(found[0] if found else None, headers)
        if found is None:
            raise self._unknown(method, path)
        route, params = found
        request = _request(scope, headers, params, actor)
        if route.streams:
            request.chunks = bodies.Chunks(
                protocol,
                asyncio.get_running_loop(),
                length=bodies.declared_length(headers),
                limit_bytes=route.body_limit_bytes,
            )
        elif method not in {"GET", "HEAD"}:
            reading = bodies.read(protocol, headers, route.body_limit_bytes)
            whole = getattr(protocol, "complete", False)  # our own server knows; others may not
            request.body = await (reading if whole else _in_time(reading))
            if request.body:
                check_content_type(route, method, headers.get("content-type"))
        return await self._handle(route, request)

    async def _handle(self, route: Route, request: Request) -> Response:
        if route.inline:
            answer = route.handler(request)
            return answer if isinstance(answer, Response) else await awaited(answer)
        if self._waiting >= MAX_WAITING:
            raise Unavailable("http.busy", "The server has too much to do.", hint="Try again soon.")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            pool = self._streams if route.streams else self._pool
            return await loop.run_in_executor(pool, _whole, route.handler, request)
        finally:
            self._waiting -= 1

    def _unknown(self, method: str, path: str) -> MainspringError:
        methods = self.router.methods(path)
        if methods and self._encoder(path)[0] is encode_error:
            return Invalid(
                "http.method_not_allowed",
                f"{method[:20]} is not a method of this address.",
                hint=f"It takes {', '.join(methods)}.",
                methods=methods,
            )
        return NotFound(
            "http.no_such_address",
            f"There is nothing at {method[:20]} {path[:200]}.",
            hint="See /api/v1/openapi.json for what there is.",
        )

    def _encoder(self, path: str) -> tuple[ErrorEncoder, str]:
        """How errors are written below a path, and as which content type."""
        for prefix, encoder, kind in self._encoders:
            if path.startswith(prefix):
                return encoder, kind
        return encode_error, "application/json"

    def _error(self, path: str, error: MainspringError) -> Response:
        encoder, kind = self._encoder(path)
        status, body = encoder(error)
        return Response(status, error_headers(error, status, kind), body)

    async def _send(self, method: str, protocol: Any, response: Response) -> None:
        headers = response.headers + SECURITY
        body = response.body
        if isinstance(body, bytes):
            if method == "HEAD":
                headers = [*headers, ("content-length", str(len(body)))]
                protocol.response_empty(response.status, headers)
            else:
                protocol.response_bytes(response.status, headers, body)
        elif method == "HEAD":
            protocol.response_empty(response.status, headers)
        elif isinstance(body, FilePart):
            protocol.response_file_range(response.status, headers, *body)
        else:
            await self._stream(protocol.response_stream(response.status, headers), body)

    async def _stream(self, transport: Any, body: Iterator[bytes]) -> None:
        loop = asyncio.get_running_loop()
        while chunk := await loop.run_in_executor(self._streams, next, body, b""):
            await asyncio.wait_for(transport.send_bytes(chunk), _STREAM_CHUNK_TIMEOUT_SECONDS)


async def _in_time(reading: Coroutine[Any, Any, bytes]) -> bytes:
    try:
        async with asyncio.timeout(bodies.IDLE_SECONDS):
            return await reading
    except TimeoutError as error:
        raise TimedOut("http.idle_body", "The body stopped coming.") from error


def _whole(handler: Any, request: Request) -> Response:
    """A handler's answer, waited for on a thread."""
    answer: Answer = handler(request)
    return answer.result() if isinstance(answer, Future) else answer


def _headers(items: list[tuple[str, str]]) -> dict[str, str]:
    headers = dict(items)
    if len(headers) != len(items):
        names = [name for name, _ in items]
        for name in _ONCE:
            if names.count(name) > 1:
                raise Invalid("http.bad_headers", f"The request has two {name} headers.")
    return headers


def _request(scope: Any, headers: dict[str, str], params: dict[str, str], actor: Actor) -> Request:
    return Request(
        scope.method,
        scope.path,
        query_string=scope.query_string,
        headers=headers,
        params=params,
        actor=actor,
    )


def _encoders(mounts: Sequence[Mount]) -> list[tuple[str, ErrorEncoder, str]]:
    """Path prefixes with their error encoders, the longest first."""
    found = [
        (prefix, mount.encode_error or encode_error, mount.error_type)
        for mount in mounts
        for prefix in mount.prefixes
    ]
    return sorted(found, key=lambda entry: -len(entry[0]))
