"""The server: every wire of one workspace on one port, in one process."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from mainspring._bootstrap.workspace import Workspace
from mainspring._entrypoints._http import Application, Counted, Doors, Mount, OneToken, serve
from mainspring._entrypoints._http.serving import Manner
from mainspring._entrypoints.api import api_mount
from mainspring._entrypoints.mlflow import mlflow_mount
from mainspring._entrypoints.operations import operations_mount
from mainspring._entrypoints.ui import pages_mount
from mainspring.core.errors import Broken, MainspringError
from mainspring.ports.database import Database
from mainspring.tracking import Runs

SWEEP_SECONDS: Final = 10.0
LISTEN_SECONDS: Final = 15.0
log = logging.getLogger("mainspring.server")


def create_app(workspace: Workspace, doors: Doors, mounts: Sequence[Mount] = ()) -> Application:
    """The application over a workspace; ``mounts`` are further wires and pages."""
    counted = Counted()
    wires = [
        operations_mount(workspace.database, counted),
        mlflow_mount(workspace.tracking, workspace.registry),
        api_mount(workspace.tracking, workspace.registry),
        *mounts,
        pages_mount(workspace.tracking, workspace.registry, workspace.governance),
    ]
    return Application(wires, doors, counted=counted)


def run_server(
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    token: str = "",
    names: Sequence[str] = (),
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serves a workspace until SIGTERM, then closes it.

    Errors: ``http.token_needed`` off loopback without a token, ``http.address_in_use``.
    """
    doors = Doors(
        host=host,
        names=frozenset({"localhost", *names}),
        authenticator=OneToken(token) if token else None,
    )
    app = create_app(workspace, doors)
    care = _Care(workspace.tracking.runs, workspace.database)
    care.start()
    try:
        manner = Manner(beside=(_OwnCommits(workspace.database),))
        serve(app, host, port, manner=manner, ready=ready)
    finally:
        care.stop()
        workspace.close()


class _OwnCommits:
    """Has the event loop commit what its own handlers write, while it serves."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self) -> None:
        self._database.attend(asyncio.get_running_loop().call_soon)

    def leaving(self) -> None:
        """Nothing: it still answers."""

    async def stop(self) -> None:
        self._database.attend(None)


class _Care:
    """What the server does unasked: ends runs whose process died, and mends a stopped database.

    After a failed fsync the database refuses every write until it was reopened and verified. Here
    that is tried every second, so that the server answers again without a person or a restart.
    """

    def __init__(self, runs: Runs, database: Database) -> None:
        self._runs = runs
        self._database = database
        # An empty transaction costs SQLite no fsync, but PostgreSQL a number and a line in its log.
        self._step_seconds = 1.0 if database.dialect == "sqlite" else SWEEP_SECONDS
        self._mending = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mainspring-care", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        # First a while of listening: what lives has had no one to say so to while this was away.
        swept = time.monotonic() + LISTEN_SECONDS
        while not self._stopped.wait(self._step_seconds):
            try:
                self._mend()
                if time.monotonic() - swept >= SWEEP_SECONDS:
                    swept = time.monotonic()
                    self._runs.end_lost()
            except MainspringError:
                continue  # the database is away; the next round tries again

    def _mend(self) -> None:
        try:
            self._database.write(lambda _tx: None)
        except Broken as error:
            if not self._mending:
                log.warning("mainspring: no writing until the database is verified (%s)", error)
            self._mending = True
            self._database.recover()
            self._mending = False
            log.warning("mainspring: the database is verified, writing goes on")
