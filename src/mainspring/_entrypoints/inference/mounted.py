"""The gateway inside another application: as ASGI, for FastAPI, Starlette, uvicorn and their like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from mainspring._bootstrap.apart import places
from mainspring._bootstrap.folder import SERVING_FOLDER
from mainspring._bootstrap.online import lookup_of
from mainspring._bootstrap.workspace import Workspace, open_workspace
from mainspring._entrypoints._http.asgi import Asgi
from mainspring._entrypoints._http.doors import Doors, OneToken
from mainspring._entrypoints.inference.application import Gateway
from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.server import GatewaySettings, alone, core_of, tell_address
from mainspring.serving.client import ADDRESS_FILE, RECORDS_FOLDER
from mainspring.serving.recorder import Recorder
from mainspring.serving.segments import seal_abandoned


def gateway_app(
    where: str | Path | None = None,
    *,
    address: str = "",
    host: str = "127.0.0.1",
    names: frozenset[str] = frozenset({"localhost"}),
    token: str | None = None,
) -> Asgi:
    """The gateway of a workspace as an ASGI 3 application, with all its wires but gRPC.

    ``address`` is where clients find it, with the path that it is mounted at; it is told to who
    deploys. ``host`` is where the outer server listens: beyond this machine it takes a ``token``.
    ``names``: the host names that it may be asked by. Signals are the outer server's; so are the
    threads that libraries of numbers start. One process of an outer server holds the folder.

    Errors: ``http.token_needed``; at its start ``serving.folder_in_use`` and those of packages.
    """
    doors = Doors(host, names, OneToken(token) if token else None)

    @asynccontextmanager
    async def life() -> AsyncIterator[Gateway]:
        loop = asyncio.get_running_loop()
        running = _running(where, doors, address)
        gateway = await loop.run_in_executor(None, running.__enter__)
        try:
            yield gateway
        finally:
            await loop.run_in_executor(None, running.__exit__, None, None, None)

    return Asgi(life)


@contextmanager
def _running(where: str | Path | None, doors: Doors, address: str) -> Iterator[Gateway]:
    """A gateway whose routes are loaded; every record is stored when it ends."""
    with open_workspace(where, attended=False) as workspace:
        folder = workspace.folder / SERVING_FOLDER
        (folder / RECORDS_FOLDER).mkdir(parents=True, exist_ok=True)
        with alone(folder), _gateway(workspace, folder, doors) as gateway:
            if address:
                tell_address(folder, address, None)
            try:
                yield gateway
            finally:
                (folder / ADDRESS_FILE).unlink(missing_ok=True)


@contextmanager
def _gateway(workspace: Workspace, folder: Path, doors: Doors) -> Iterator[Gateway]:
    settings = GatewaySettings(folder, doors=doors, features=lookup_of(workspace))
    fleet = Fleet(folder, workspace.objects, places(workspace.settings), settings.lanes)
    seal_abandoned(folder / RECORDS_FOLDER)
    recorder = Recorder(folder / RECORDS_FOLDER, settings.records)
    core = core_of(settings, fleet, recorder)
    gateway = Gateway(core)
    try:
        fleet.restore()
        yield gateway
    finally:
        fleet.is_ready = False
        gateway.close()
        recorder.close()
        core.telling.close()
