"""Listening: one process, one event loop, a graceful end."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

from mainspring._entrypoints._http.application import Application
from mainspring.core.errors import Unavailable

BACKLOG: Final = 4096
CONCURRENT: Final = 4096
DRAIN_SECONDS: Final = 20.0


def serve(
    app: Application,
    host: str,
    port: int,
    *,
    ready: Callable[[str], None] | None = None,
    stopped: Callable[[], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then answers what is under way and returns.

    ``port`` 0 takes a free one. ``ready`` is called with the server's address once it listens,
    ``stopped`` once no request is left. Errors: ``http.address_in_use``.
    """
    port = _claim(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    asyncio.run(_run(app, host, port, ready=lambda: (ready or _announce)(address)))
    app.close()
    if stopped is not None:
        stopped()


def _announce(address: str) -> None:
    sys.stderr.write(f"mainspring: ready at {address}\n")
    sys.stderr.flush()


def _claim(host: str, port: int) -> int:
    """The port to use: a free one for 0. Says so when it is taken.

    The server shares ports, so it would not notice by itself.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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


async def _run(app: Application, host: str, port: int, *, ready: Callable[[], None]) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONCURRENT,
        http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=128 * 1024),
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    serving = asyncio.create_task(server.serve())
    if await _listening(host, port, serving):
        ready()
    await serving


async def _listening(host: str, port: int, serving: asyncio.Task[None]) -> bool:
    """Whether the server answers connections; False when it ended instead."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return True
    return False
