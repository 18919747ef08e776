"""Worker processes of Ray: of the cluster that is named, or of one on this machine alone.

Every node needs this version of Mainspring and the same folders at the same places. Ray gives each
task one thread for native libraries (OMP_NUM_THREADS) by itself.

Source: Ray's documentation, "Tasks", "Fault tolerance: tasks", "Limiting pending tasks".
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from mainspring.core.errors import Unavailable
from mainspring.ports.compute import done, told, worker_lost

_RETRIES: Final = 1
# Without clusters Ray listens on loopback alone; else on every address, whatever it is told.
_ONE_MACHINE: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
# Enough that no worker waits for us, and few enough that no list of pieces is held.
_UNDER_WAY_PER_WORKER: Final = 2
_CONNECT_SECONDS: Final = 5.0


class RayProcesses:
    """:class:`mainspring.ports.compute.Compute` by Ray.

    ``address`` names a cluster; without one (and without ``RAY_ADDRESS``) Ray is started on this
    machine's loopback with so many processors, and ended by ``close``.
    """

    def __init__(self, workers: int, address: str = "") -> None:
        address = address or os.environ.get("RAY_ADDRESS", "")
        if not address:  # read when Ray is imported
            os.environ.setdefault(_ONE_MACHINE, "0")
        try:
            import ray
        except ImportError as error:
            raise Unavailable(
                "compute.extra_missing",
                "Ray is not installed.",
                hint="Install it with: pip install 'mainspring[ray]'",
                extra="ray",
            ) from error
        self._ray = ray
        self.workers = max(1, workers)
        self._started = not ray.is_initialized()
        if self._started:
            _check_reachable(address)
            self._start(address)
        self._task = ray.remote(num_cpus=1, max_retries=_RETRIES)(done)

    def run(self, work: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        ray, waiting = self._ray, iter(pieces)
        most = _UNDER_WAY_PER_WORKER * self.workers
        under_way = [self._task.remote(work, piece) for piece in islice(waiting, most)]
        try:
            while under_way:
                ended, under_way = ray.wait(under_way, num_returns=1)
                under_way += [
                    self._task.remote(work, piece) for piece in islice(waiting, len(ended))
                ]
                for one in ended:
                    yield told(self._got(one))
        finally:
            for one in under_way:
                ray.cancel(one, force=True)

    def close(self) -> None:
        if self._started:
            self._ray.shutdown()

    def _got(self, reference: Any) -> bytes:
        try:
            answer: bytes = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise worker_lost(type(error).__name__) from error
        return answer

    def _start(self, address: str) -> None:
        # Nothing about its use leaves the machine, unless its owner has said so.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"log_to_driver": False, "configure_logging": False}
        try:
            if address:
                self._ray.init(address=address, **quiet)
            else:
                self._ray.init(
                    num_cpus=self.workers,
                    include_dashboard=False,
                    _node_ip_address="127.0.0.1",
                    **quiet,
                )
        except (OSError, RuntimeError, ValueError) as error:
            raise _no_cluster(str(error)) from error


def _check_reachable(address: str) -> None:
    """Refuses an address where nobody listens: Ray would end this process after a while."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(f"nobody answers at {address} ({error})") from error


def _no_cluster(why: str) -> Unavailable:
    return Unavailable(
        "compute.no_cluster",
        f"Ray cannot be reached or started: {(why.splitlines() or [''])[0][:300]}.",
        hint="Look at the setting compute, and at 'ray status'.",
    )
