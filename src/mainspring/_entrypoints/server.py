"""The server: every wire of one workspace on one port, in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from mainspring._bootstrap.workspace import Workspace
from mainspring._entrypoints._http import Application, Doors, Mount, OneToken, serve
from mainspring._entrypoints.api import api_mount
from mainspring._entrypoints.mlflow import mlflow_mount
from mainspring._entrypoints.ui import pages_mount
from mainspring.core.errors import MainspringError
from mainspring.tracking import Runs

SWEEP_SECONDS: Final = 10.0


def create_app(workspace: Workspace, doors: Doors, mounts: Sequence[Mount] = ()) -> Application:
    """The application over a workspace; ``mounts`` are further wires and pages."""
    wires = [
        mlflow_mount(workspace.tracking, workspace.registry),
        api_mount(workspace.tracking, workspace.registry),
        *mounts,
        pages_mount(workspace.tracking, workspace.registry, workspace.governance),
    ]
    return Application(wires, doors)


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
    watch = _Sweep(workspace.tracking.runs)
    watch.start()
    try:
        serve(app, host, port, ready=ready)
    finally:
        watch.stop()
        workspace.close()


class _Sweep:
    """Ends runs whose process died, from time to time."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mainspring-sweep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopped.wait(SWEEP_SECONDS):
            try:
                self._runs.end_lost()
            except MainspringError:
                continue  # the database is away; the next round tries again
