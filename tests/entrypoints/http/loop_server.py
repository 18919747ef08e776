"""The server on a loop in a thread of this process, so that a test can look inside and move the clock."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mainspring._entrypoints._http.listening import Listener

T = TypeVar("T")
PATIENCE = 10.0


class Echo:
    """An application that says what it was asked, whole: method, target, size and digest of the body."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.go_on = asyncio.Event()
        self.seen: list[str] = []

    async def __rsgi__(self, scope: Any, exchange: Any) -> None:
        self.seen.append(f"{scope.method} {scope.path}")
        special = getattr(self, scope.path.strip("/") or "root", None)
        if special is not None:
            await special(scope, exchange)
            return
        digest, size = hashlib.sha256(), 0
        async for part in exchange:
            digest.update(part)
            size += len(part)
        said = f"{scope.method} {scope.path}?{scope.query_string} {size} {digest.hexdigest()}"
        exchange.response_bytes(200, [("content-type", "text/plain")], said.encode())

    async def waits(self, _scope: Any, exchange: Any) -> None:
        self.began.release()
        await self.go_on.wait()
        exchange.response_bytes(200, [], b"waited")

    async def unread(self, _scope: Any, exchange: Any) -> None:
        exchange.response_bytes(413, [], b"too much")

    async def large(self, _scope: Any, exchange: Any) -> None:
        exchange.response_bytes(200, [], bytes(1 << 20))

    async def medium(self, _scope: Any, exchange: Any) -> None:
        exchange.response_bytes(200, [], bytes(48 << 10))

    async def huge(self, _scope: Any, exchange: Any) -> None:
        exchange.response_bytes(200, [], bytes(24 << 20))

    async def stream(self, _scope: Any, exchange: Any) -> None:
        answer = exchange.response_stream(200, [])
        for part in (b"one", b"", b"two"):
            await answer.send_bytes(part)

    async def endless(self, _scope: Any, exchange: Any) -> None:
        answer = exchange.response_stream(200, [])
        self.began.release()
        while True:
            await answer.send_bytes(bytes(65536))
            await asyncio.sleep(0)

    async def breaks(self, _scope: Any, exchange: Any) -> None:
        answer = exchange.response_stream(200, [])
        await answer.send_bytes(b"half")
        raise ZeroDivisionError("canary")

    async def short(self, _scope: Any, exchange: Any) -> None:
        answer = exchange.response_stream(200, [("content-length", "10")])
        await answer.send_bytes(b"half.")

    async def long(self, _scope: Any, exchange: Any) -> None:
        answer = exchange.response_stream(200, [("Content-Length", "3")])
        await answer.send_bytes(b"more.")

    async def silent(self, _scope: Any, _exchange: Any) -> None:
        """Never answers."""

    async def split(self, _scope: Any, exchange: Any) -> None:
        exchange.response_bytes(200, [("x-name", "a\r\nset-cookie: b")], b"")

    async def nothing(self, _scope: Any, exchange: Any) -> None:
        exchange.response_bytes(204, [], b"canary")

    async def unchanged(self, _scope: Any, exchange: Any) -> None:
        exchange.response_bytes(304, [], b"canary")

    async def declared(self, _scope: Any, exchange: Any) -> None:
        exchange.response_bytes(200, [("Content-Length", "4")], b"four")

    async def file(self, scope: Any, exchange: Any) -> None:
        start, end = (int(part) for part in scope.headers.items()[-1][1].split("-"))
        exchange.response_file_range(200, [], __file__, start, end)

    async def missing(self, _scope: Any, exchange: Any) -> None:
        exchange.response_file_range(200, [], "/no/such/file", 0, 10)


class Served:
    """A listener at work."""

    def __init__(self, listener: Listener, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.listener, self.port, self.loop = listener, port, loop
        self.complaints: list[dict[str, Any]] = []

    def on_loop(self, call: Callable[[], T]) -> T:
        """The result of a call made on the server's loop."""

        async def run() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE)

    def later(self, seconds: float) -> None:
        """Has every connection look at the clock as if so many seconds had passed."""
        now = time.monotonic() + seconds
        self.on_loop(lambda: [one.look(now) for one in tuple(self.listener._connections)])

    def until(self, holds: Callable[[], bool]) -> None:
        """Returns once something holds on the loop; fails when it never does."""
        end = time.monotonic() + PATIENCE
        while not self.on_loop(holds):
            assert time.monotonic() < end, "it never came to hold"

    def connections(self) -> int:
        return self.on_loop(lambda: len(self.listener._connections))

    def open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(self, data: bytes) -> bytes:
        """All that comes back for bytes, until the server closes; we close our half after them."""
        with self.open() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return everything(client)


def everything(client: socket.socket) -> bytes:
    """What a connection still brings, until it is closed or cut off."""
    parts = []
    try:
        while part := client.recv(1 << 20):
            parts.append(part)
    except ConnectionError:
        parts.append(b"<cut off>")
    return b"".join(parts)


@contextmanager
def serving(app: Any, *, most: int = 1000) -> Iterator[Served]:
    """Serves in a thread. Fails when anything is left behind, or was said to the loop's handler."""
    started: list[Served] = []
    is_ready, ends = threading.Event(), asyncio.Event()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        listener = Listener(app, "127.0.0.1", 0, most=most)
        listener.start()
        port = listener._socket.getsockname()[1]
        started.append(Served(listener, port, loop))
        loop.set_exception_handler(lambda _, context: started[0].complaints.append(context))
        is_ready.set()
        await ends.wait()
        listener.stop()
        await listener.ended(PATIENCE)
        await asyncio.sleep(0)
        gc.collect()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left or listener._connections:
            started[0].complaints.append({"left": left, "connections": listener._connections})

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    is_ready.wait(PATIENCE)
    try:
        yield started[0]
    finally:
        started[0].loop.call_soon_threadsafe(ends.set)
        thread.join()
    assert not started[0].complaints, started[0].complaints
