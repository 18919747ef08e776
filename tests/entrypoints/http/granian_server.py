"""Our applications under Granian, another server that speaks RSGI: KIND WORKSPACE PORT."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server


@contextmanager
def gateway(folder: Path) -> Iterator[Any]:
    from mainspring._entrypoints._http.doors import Doors
    from mainspring._entrypoints.inference.mounted import _running

    with _running(folder, Doors(), "") as made:
        yield made


@contextmanager
def tracking(folder: Path) -> Iterator[Any]:
    import mainspring as ms
    from mainspring._entrypoints._http.doors import Doors
    from mainspring._entrypoints.server import create_app

    with ms.open(folder) as workspace:
        app = create_app(workspace, Doors())
        yield app
        app.close()


async def serve(app: Any, port: int) -> None:
    server = Server(
        app,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    server.on_startup(lambda: print("ready", flush=True))  # noqa: T201 - what the test waits for
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    with {"gateway": gateway, "tracking": tracking}[sys.argv[1]](Path(sys.argv[2])) as made:
        asyncio.run(serve(made, int(sys.argv[3])))
