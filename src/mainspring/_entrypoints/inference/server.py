"""Running a gateway: restore the routes, listen, answer, drain."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from mainspring._entrypoints._http.doors import Doors, OneToken
from mainspring._entrypoints._http.serving import serve
from mainspring._entrypoints.inference.answering import Answering
from mainspring._entrypoints.inference.application import Gateway
from mainspring._entrypoints.inference.control import Control, control_token
from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.lanes import DEFAULT_LIMITS, LaneLimits
from mainspring._entrypoints.inference.metrics import Metrics
from mainspring.core.errors import Conflict
from mainspring.ports.objects import Objects
from mainspring.serving.client import ADDRESS_FILE, LOCK_FILE, RECORDS_FOLDER
from mainspring.serving.ports import Runtime
from mainspring.serving.recorder import Recorder, RecorderLimits
from mainspring.serving.routes import replace_file
from mainspring.serving.segments import seal_abandoned

if TYPE_CHECKING:
    from mainspring._entrypoints._http.application import Application


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where a gateway listens and keeps its files.

    ``folder`` is the gateway's own (``WORKSPACE/serving``): routes, control token, address,
    records. ``token`` is asked of everyone who predicts; it is needed off loopback.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8080
    names: frozenset[str] = frozenset({"localhost"})
    token: str | None = None
    records: RecorderLimits = field(default_factory=RecorderLimits)
    lanes: LaneLimits = DEFAULT_LIMITS


def run(
    settings: GatewaySettings,
    objects: Objects,
    runtimes: Mapping[str, Runtime],
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then answers what is under way, and stores every record.

    The routes of the folder are loaded and checked before the gateway listens; ``ready`` is then
    called with its address. Errors: ``http.address_in_use``, ``http.token_needed``, and those of
    loading a package; ``serving.folder_in_use``.
    """
    _pin_threads()
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        _run(settings, objects, runtimes, ready)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder: a second gateway would overwrite its routes and its address."""
    with (folder / LOCK_FILE).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                "serving.folder_in_use",
                f"Another gateway is running in {folder}.",
                hint="Stop it first, or give this one a folder of its own.",
            ) from error
        yield


def _run(
    settings: GatewaySettings,
    objects: Objects,
    runtimes: Mapping[str, Runtime],
    ready: Callable[[str], None] | None,
) -> None:
    folder = settings.folder
    records = folder / RECORDS_FOLDER
    records.mkdir(exist_ok=True)
    seal_abandoned(records)
    doors = Doors(
        settings.host, settings.names, OneToken(settings.token) if settings.token else None
    )
    fleet, metrics = Fleet(folder, objects, runtimes, settings.lanes), Metrics()
    fleet.restore()
    recorder = Recorder(records, settings.records)
    control = Control(fleet, recorder, control_token(folder))
    answering = Answering(fleet, recorder, metrics)
    app = Gateway(fleet, answering, control=control, metrics=metrics, doors=doors)

    def listening(address: str) -> None:
        said = {"url": address, "pid": os.getpid()}
        replace_file(folder / ADDRESS_FILE, msgspec.json.encode(said), mode=0o644)
        if ready is not None:
            ready(address)

    try:
        # serve() needs nothing of an application but __rsgi__ and close().
        serve(cast("Application", app), settings.host, settings.port, ready=listening)
    finally:
        recorder.close()
        (folder / ADDRESS_FILE).unlink(missing_ok=True)


def _pin_threads() -> None:
    # Before a runtime loads its native library: one OpenMP thread per gateway process.
    if threading.active_count() == 1:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
