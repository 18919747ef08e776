"""A workspace's gateway in a process of its own, and the loop's way to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from mainspring._bootstrap.folder import SERVING_FOLDER
from mainspring.core.errors import Unavailable
from mainspring.serving.client import (
    ADDRESS_FILE,
    RECORDS_FOLDER,
    GatewayClient,
    GatewayControl,
)
from mainspring.serving.traffic import Route

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mainspring._bootstrap.workspace import Workspace
    from mainspring.ports.tables import Frame, Tables

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0


class LocalGateway:
    """The gateway of a folder on this machine (:class:`mainspring.projects.production.Gateway`)."""

    def __init__(self, folder: Path, tables: Tables) -> None:
        self._folder = folder
        self._tables = tables
        self._control = GatewayControl(folder)
        self._client = GatewayClient(self._control.url)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._control.url

    def deploy(self, endpoint: str, route: Route) -> None:
        self._control.deploy(endpoint, route)

    def predict(
        self,
        endpoint: str,
        rows: Frame,
        *,
        ids: list[str],
        entity: list[str],
        event_times: NDArray[np.datetime64],
    ) -> Mapping[str, NDArray[Any]]:
        return self._client.predict(
            endpoint, rows, ids=ids, entity=entity, event_times=event_times, durable=True
        )

    def ship(self) -> int:
        from mainspring.serving.shipping import ship  # where a gateway is takes no tables

        self._control.seal_records()
        return ship(self._folder / RECORDS_FOLDER, self._tables).rows

    def close(self) -> None:
        """Closes the connections; the gateway goes on."""
        self._client.close()
        self._control.close()


@contextmanager
def running_gateway(workspace: Workspace) -> Iterator[LocalGateway]:
    """A gateway for the length of a block, on a free port of loopback.

    It stops with the block, and also when this process dies: it reads from a pipe that only this
    process holds. One left over from a process that was killed is waited for first.

    Errors: ``serving.gateway_failed`` with what it said.
    """
    folder = workspace.folder / SERVING_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    _wait_for_leftover(folder)
    log = (folder / "gateway.log").open("ab")
    command = [sys.executable, "-m", "mainspring", "--workspace", str(workspace.folder)]
    command += ["gateway", "--port", "0", "--until-stdin-closes"]
    process = subprocess.Popen(  # noqa: S603 - our own command, as a list
        command, stdin=subprocess.PIPE, stdout=log, stderr=log
    )
    try:
        _wait_until_ready(folder, process)
        gateway = LocalGateway(folder, workspace.tables)
        try:
            yield gateway
        finally:
            gateway.close()
    finally:
        _stop(process, log)


def _wait_until_ready(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _said(folder).get("pid") == process.pid:
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    tail = (folder / "gateway.log").read_bytes()[-2000:].decode("utf-8", "replace")
    raise Unavailable(
        "serving.gateway_failed",
        "The gateway did not start.",
        hint=f"Its log ends with: {tail.strip()[-400:] or '(nothing)'}",
        log=str(folder / "gateway.log"),
    )


def _wait_for_leftover(folder: Path) -> None:
    """Until the gateway of a killed process is gone; it is told to stop after a while."""
    deadline = time.monotonic() + STOP_SECONDS
    asked = False
    while (pid := _said(folder).get("pid")) and _alive(pid):
        if time.monotonic() > deadline:
            raise Unavailable(
                "serving.gateway_running",
                f"A gateway (process {pid}) already serves this workspace.",
                hint="Stop it first, or use it: see 'mainspring endpoints ls'.",
                pid=pid,
            )
        if not asked and time.monotonic() > deadline - STOP_SECONDS / 2:
            asked = True
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.05)


def _said(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / ADDRESS_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _alive(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"mainspring" in command


def _stop(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log.close()
