"""Running a gateway: restore the routes, listen, answer, drain."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from mainspring._entrypoints._http.access_log import AccessLog
from mainspring._entrypoints._http.doors import Doors, OneToken
from mainspring._entrypoints._http.serving import Manner, serve
from mainspring._entrypoints.inference.answering import Answering
from mainspring._entrypoints.inference.application import Gateway
from mainspring._entrypoints.inference.control import Control
from mainspring._entrypoints.inference.core import Core
from mainspring._entrypoints.inference.decisions import Decisions
from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.grpc_server import GrpcServer
from mainspring._entrypoints.inference.grpc_service import InferenceService
from mainspring._entrypoints.inference.lanes import DEFAULT_LIMITS, LaneLimits
from mainspring._entrypoints.inference.metrics import Metrics
from mainspring._entrypoints.inference.observing import snapshot
from mainspring._entrypoints.inference.pinning import pin_threads
from mainspring._entrypoints.inference.reloading import Reloading
from mainspring._entrypoints.inference.siblings import Siblings
from mainspring._entrypoints.inference.telling import Telling, Tracer
from mainspring.core.errors import Conflict
from mainspring.features.lookup import FeatureLookup
from mainspring.ports.objects import Objects
from mainspring.serving.client import ADDRESS_FILE, CAPACITY_FOLDER, LOCK_FILE, RECORDS_FOLDER
from mainspring.serving.isolation import Places
from mainspring.serving.recorder import Recorder, RecorderLimits
from mainspring.serving.routes import replace_file
from mainspring.serving.segments import seal_abandoned

if TYPE_CHECKING:
    from mainspring._entrypoints._http.application import Application


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where a gateway listens and keeps its files.

    ``folder`` is the gateway's own (``WORKSPACE/serving``): routes, control token, address,
    records. ``token`` is asked of everyone who predicts; it is needed off loopback. ``doors``, when
    given, decides who gets in instead. ``grpc_port`` is for gRPC (0 takes a free one), closed
    without it. ``linger_seconds``: how long it still answers, no longer ready, once told to stop. ``siblings`` is
    where the processes behind the same port find each other; then who started them all holds the
    folder, and says where they answer. ``reread`` gives the doors anew on SIGHUP.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8080
    names: frozenset[str] = frozenset({"localhost"})
    token: str | None = None
    records: RecorderLimits = field(default_factory=RecorderLimits)
    lanes: LaneLimits = DEFAULT_LIMITS
    doors: Doors | None = None
    grpc_port: int | None = None
    linger_seconds: float = 0.0
    features: FeatureLookup | None = None
    siblings: Path | None = None
    access_log: Path | None = None
    tracer: Tracer | None = None
    reread: Callable[[], Doors] | None = None


def run(
    settings: GatewaySettings,
    objects: Objects,
    places: Places,
    *,
    ready: Callable[[str], None] | None = None,
    grpc_ready: Callable[[str], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then answers what is under way, and stores every record.

    The routes of the folder are loaded and checked before the gateway listens; ``ready`` is then
    called with its address, and before it ``grpc_ready`` with gRPC's, where that is open. Errors: ``http.address_in_use``, ``http.token_needed``, and those of
    loading a package; ``serving.folder_in_use``.
    """
    pin_threads()
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    shared = settings.siblings is not None
    with nullcontext() if shared else alone(folder):
        fleet = Fleet(folder, objects, places, settings.lanes, shared=shared)
        _run(settings, fleet, ready, grpc_ready)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
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
    fleet: Fleet,
    ready: Callable[[str], None] | None,
    grpc_ready: Callable[[str], None] | None,
) -> None:
    records = settings.folder / RECORDS_FOLDER
    records.mkdir(exist_ok=True)
    if settings.siblings is None:
        seal_abandoned(records)
    recorder = Recorder(records, settings.records)
    core = core_of(settings, fleet, recorder)
    grpc = _grpc(settings, core)
    fleet.restore()

    def listening(address: str) -> None:
        if core.siblings is not None:
            core.siblings.join()
            asyncio.get_running_loop().run_in_executor(None, fleet.reload)
        else:
            tell_address(settings.folder, address, grpc.address if grpc else None)
        if grpc is not None and grpc_ready is not None:
            grpc_ready(grpc.address)
        if ready is not None:
            ready(address)

    always = (_Leaving(fleet), Reloading(core, settings.reread))
    beside = [one for one in (core.siblings, *always, grpc) if one is not None]
    manner = Manner(
        beside=beside,
        shared=settings.siblings is not None,
        linger_seconds=settings.linger_seconds,
    )
    try:
        # serve() needs nothing of an application but __rsgi__ and close().
        app = cast("Application", Gateway(core))
        serve(app, settings.host, settings.port, manner=manner, ready=listening)
    finally:
        recorder.close()
        core.telling.close()
        if settings.siblings is None:
            (settings.folder / ADDRESS_FILE).unlink(missing_ok=True)


def tell_address(folder: Path, address: str, grpc: str | None) -> None:
    """Writes where the gateway of a folder answers, for who wants to reach it."""
    said = {"url": address, "pid": os.getpid(), "grpc": grpc}
    replace_file(folder / ADDRESS_FILE, msgspec.json.encode(said), mode=0o644)


def core_of(settings: GatewaySettings, fleet: Fleet, recorder: Recorder) -> Core:
    metrics = Metrics()
    capacity = settings.folder / CAPACITY_FOLDER
    answering = Answering(fleet, recorder, metrics, capacity=capacity)
    token = OneToken(settings.token) if settings.token else None
    siblings = Siblings(settings.siblings) if settings.siblings is not None else None
    core = Core(
        fleet=fleet,
        answering=answering,
        decisions=Decisions(settings.features, answering),
        control=Control(fleet, recorder, settings.folder, siblings),
        metrics=metrics,
        doors=settings.doors or Doors(settings.host, settings.names, token),
        siblings=siblings,
        telling=Telling(
            AccessLog(settings.access_log) if settings.access_log else None, settings.tracer
        ),
    )
    if siblings is not None:
        siblings.quick = {"snapshot": lambda: snapshot(core), "records": core.control.own_records}
        siblings.words = {"reload": lambda: fleet.reload().revision, "seal": recorder.seal}
    return core


def _grpc(settings: GatewaySettings, core: Core) -> GrpcServer | None:
    if settings.grpc_port is None:
        return None
    service = InferenceService(core)
    return GrpcServer(service, core, host=settings.host, port=settings.grpc_port)


class _Leaving:
    """A gateway that was told to stop says so to who asks whether it is ready."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def start(self) -> None:
        """Nothing to start."""

    def leaving(self) -> None:
        self._fleet.is_ready = False

    async def stop(self) -> None:
        """Nothing to stop."""
