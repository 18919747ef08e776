"""Listening: one process, one event loop, a graceful end."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from mainspring._entrypoints._http.application import Application
from mainspring._entrypoints._http.listening import Listener
from mainspring.core.errors import Unavailable

DRAIN_SECONDS: Final = 20.0
COLLECT_AFTER: Final = (100_000, 20, 20)  # Python's own are (700, 10, 10)


class Beside(Protocol):
    """What runs on the server's event loop, from before it listens until its last answer."""

    async def start(self) -> None:
        """Called before the server listens; an error ends the start."""
        ...

    def leaving(self) -> None:
        """Called once the server was told to stop, while it still answers."""
        ...

    async def stop(self) -> None:
        """Called when no new requests are taken; returns when nothing is left to do."""
        ...


@dataclass(frozen=True, slots=True)
class Manner:
    """How a server listens and leaves.

    ``shared``: other processes listen on the same port. ``linger_seconds``: how long it goes on
    answering after it was told to stop, so that load balancers see that it is no longer ready.
    """

    beside: Sequence[Beside] = ()
    shared: bool = False
    linger_seconds: float = 0.0


PLAIN: Final = Manner()


def serve(
    app: Application,
    host: str,
    port: int,
    *,
    manner: Manner = PLAIN,
    ready: Callable[[str], None] | None = None,
    stopped: Callable[[], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then answers what is under way and returns.

    ``port`` 0 takes a free one. ``ready`` is called with the server's address once it listens,
    ``stopped`` once no request is left. Errors: ``http.address_in_use``.
    """
    port = _claim(host, port, shared=manner.shared)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    told = partial(ready or _announce, address)
    asyncio.run(_run(app, host, port, manner=manner, ready=told))
    app.close()
    if stopped is not None:
        stopped()


def _announce(address: str) -> None:
    sys.stderr.write(f"mainspring: ready at {address}\n")
    sys.stderr.flush()


def _claim(host: str, port: int, *, shared: bool = False) -> int:
    """The port to use: a free one for 0. Says so when it is taken.

    The server shares ports, so it would not notice by itself.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind((host, port))
            return int(probe.getsockname()[1])
        except OSError as error:
            raise Unavailable(
                "http.address_in_use",
                f"Cannot listen on {host}:{port} ({error.strerror}).",
                hint="Is another server running there? Choose another port.",
                port=port,
            ) from error


async def _run(
    app: Application, host: str, port: int, *, manner: Manner, ready: Callable[[], None]
) -> None:
    listener = Listener(app, host, port, shared=manner.shared)
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    started: list[Beside] = []
    try:
        for one in manner.beside:
            await one.start()
            started.append(one)
        _spare_the_collector()
        listener.start()
        ready()
        await told.wait()
        for one in started:
            one.leaving()
        await asyncio.sleep(manner.linger_seconds)
        listener.stop()
        await listener.ended(DRAIN_SECONDS)
    finally:
        await asyncio.gather(*(one.stop() for one in started))


def _spare_the_collector() -> None:
    """Has the garbage collector look for cycles a hundred times more rarely.

    Requests make no cycles to speak of, yet every few hundred rows of a large answer would have
    the collector walk over them: a read of 100,000 rows took twice its time. What was loaded
    until now is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
