"""A gateway over a packaged model: routes that came with it, a port that its platform guards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mainspring._entrypoints._http.doors import Doors, OneToken
from mainspring._entrypoints.inference.server import GatewaySettings, run
from mainspring.ports.objects import Objects
from mainspring.serving.client import RECORDS_FOLDER
from mainspring.serving.isolation import Places
from mainspring.serving.ports import Runtime
from mainspring.serving.recorder import SEALED_SUFFIX
from mainspring.serving.routes import write_routes
from mainspring.serving.traffic import RouteTable

_LOOK_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class PackagedSettings:
    """Where a packaged model listens, and the folder it may write to."""

    state: Path
    host: str
    port: int
    token: str | None
    most_record_bytes: int


@dataclass(frozen=True)
class GuardedDoors(Doors):
    """The doors of a port whose platform decides who reaches it, under names we cannot know.

    A token is asked for when there is one. Pages of other sites are refused all the same.
    """

    def __post_init__(self) -> None:
        """Unlike other doors, these may stand open."""

    def knows(self, host: str) -> bool:  # noqa: ARG002 - any name: a service's, a load balancer's
        """Whether a Host value names this server: it may be called anything."""
        return True


def run_packaged(
    settings: PackagedSettings,
    table: RouteTable,
    objects: Objects,
    runtimes: Mapping[str, Runtime],
    *,
    ready: Callable[[str], None],
) -> None:
    """Serves until SIGTERM or SIGINT, then answers what is under way, and stores every record.

    What is served is what the package says, also where the state folder is an older one's.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    write_routes(settings.state, table)
    token = OneToken(settings.token) if settings.token else None
    gateway = GatewaySettings(
        folder=settings.state,
        host=settings.host,
        port=settings.port,
        doors=GuardedDoors(settings.host, authenticator=token),
    )
    ended = threading.Event()
    records = settings.state / RECORDS_FOLDER
    # Started when it listens: threads are pinned only as long as there is but one.
    pruning = threading.Thread(
        target=_keep_bounded, args=(records, settings.most_record_bytes, ended), daemon=True
    )

    def listening(address: str) -> None:
        pruning.start()
        ready(address)

    try:
        run(gateway, objects, Places(runtimes), ready=listening)
    finally:
        ended.set()


def _keep_bounded(records: Path, most_bytes: int, ended: threading.Event) -> None:
    while not ended.wait(_LOOK_SECONDS):
        drop_oldest(records, most_bytes)


def drop_oldest(records: Path, most_bytes: int) -> int:
    """Removes the oldest sealed segments until the rest is small enough; how many."""
    sealed = sorted(records.glob(f"*{SEALED_SUFFIX}"))  # their names begin with their time
    sizes = [path.stat().st_size for path in sealed]
    dropped = 0
    while sum(sizes[dropped:]) > most_bytes:
        sealed[dropped].unlink(missing_ok=True)
        dropped += 1
    return dropped
