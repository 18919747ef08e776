"""Where clients come in: one listening socket, a bounded number of connections, a graceful end."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from mainspring._entrypoints._http.connection import Connection
from mainspring._entrypoints._http.exchange import Exchange

BACKLOG: Final = 4096
# Connections, also idle ones: beyond them a new client waits until one is closed.
CONCURRENT: Final = 16_384
_LOOK_SECONDS: Final = 1.0
_ACCEPT_AT_ONCE: Final = 64
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Rsgi(Protocol):
    """An application of RSGI's."""

    def __rsgi__(self, scope: Any, protocol: Any) -> Coroutine[Any, Any, None]:
        """Answers one request."""
        ...


AtOnce = Callable[[Exchange], bool]


class Listener:
    """Accepts connections for an application. Event loop only.

    Beyond RSGI, an application may have ``at_once``: it is shown each request whose body is here
    before a coroutine is made for it, and says whether it takes it. What it took it answers through
    the exchange, then or later, and calls the exchange's ``finish``.
    """

    def __init__(
        self, app: Rsgi, host: str, port: int, *, shared: bool = False, most: int = CONCURRENT
    ) -> None:
        self.app = app
        self.at_once: AtOnce | None = getattr(app, "at_once", None)
        self._address = (host, port)
        self._shared = shared
        self._most = most
        self._connections: set[Connection] = set()
        self._accepting: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._full = False
        self._empty = asyncio.Event()
        self._looking: asyncio.TimerHandle | None = None
        self.is_stopping = False

    def start(self) -> None:
        """Listens. Errors: ``OSError``."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._shared:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._socket.bind(self._address)
        self._socket.listen(BACKLOG)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._accept)
        self._looking = loop.call_later(_LOOK_SECONDS, self._look)

    def stop(self) -> None:
        """Takes no new clients; those that are here get the answers they wait for."""
        self.is_stopping = True
        self._close_door()
        for connection in tuple(self._connections):
            connection.leave()
        self._tell_if_empty()

    async def ended(self, seconds: float) -> None:
        """Returns once nobody is left; who takes longer than that is cut off."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.abort()
            await asyncio.sleep(0)
        finally:
            if self._looking is not None:
                self._looking.cancel()

    def came(self, connection: Connection) -> None:
        """Called by a connection that is open."""
        self._connections.add(connection)

    def gone(self, connection: Connection) -> None:
        """Called by a connection that is closed."""
        self._connections.discard(connection)
        self._recount()

    def _accept(self) -> None:
        assert self._socket is not None  # noqa: S101 - told to the type checker
        loop = asyncio.get_running_loop()
        for _ in range(_ACCEPT_AT_ONCE):
            if len(self._connections) + len(self._accepting) >= self._most:
                self._shut_door()
                return
            try:
                client, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._shut_door()
                loop.call_later(_LOOK_SECONDS, self._open_door)
                return
            client.setblocking(False)
            task = loop.create_task(self._take(client))
            self._accepting.add(task)
            task.add_done_callback(self._taken)

    async def _take(self, client: socket.socket) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: Connection(self), client)
        except OSError:  # it left before it came
            client.close()

    def _taken(self, task: asyncio.Task[None]) -> None:
        self._accepting.discard(task)
        self._recount()

    def _recount(self) -> None:
        if self._full and len(self._connections) + len(self._accepting) < self._most:
            self._open_door()
        self._tell_if_empty()

    def _shut_door(self) -> None:
        if self._socket is not None:
            self._full = True
            asyncio.get_running_loop().remove_reader(self._socket)

    def _open_door(self) -> None:
        if self._socket is not None:
            self._full = False
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _close_door(self) -> None:
        listening, self._socket = self._socket, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()

    def _tell_if_empty(self) -> None:
        if self.is_stopping and not self._connections and not self._accepting:
            self._empty.set()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(_LOOK_SECONDS, self._look)
        now = time.monotonic()
        for connection in tuple(self._connections):
            connection.look(now)
