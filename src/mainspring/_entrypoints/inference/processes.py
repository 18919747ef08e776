"""Several gateway processes behind one port: started together, stopped together, and replaced.

The kernel shares new connections out among the processes that listen (SO_REUSEPORT). The one that
starts them holds the gateway's folder and both ports, answers nothing itself, and puts a new process
in the place of one that ended. Signals go on to all of them.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mainspring._entrypoints.inference.control import control_token
from mainspring._entrypoints.inference.server import alone, tell_address
from mainspring._entrypoints.inference.siblings import SOCKET_SUFFIX
from mainspring.core.errors import Unavailable
from mainspring.serving.client import ADDRESS_FILE, RECORDS_FOLDER
from mainspring.serving.segments import seal_abandoned

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05
# As many ends in as short a time say that no process can live here.
_MOST_ENDS: Final = 5
_ENDS_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Which command serves in one process, told its ports and the siblings' folder.

    It ends when its standard input does.
    """

    command: Sequence[str]
    count: int
    folder: Path
    host: str
    port: int
    grpc_port: int | None


def run_processes(
    settings: ProcessSettings,
    *,
    ready: Callable[[str], None],
    grpc_ready: Callable[[str], None],
    tell: Callable[[str], None],
) -> bool:
    """Runs the processes until SIGTERM or SIGINT; False when they could not be kept alive.

    Errors: ``serving.folder_in_use``, ``http.address_in_use``, ``serving.gateway_failed`` when the
    first ones do not come up.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(alone(settings.folder))
        (settings.folder / RECORDS_FOLDER).mkdir(exist_ok=True)
        seal_abandoned(settings.folder / RECORDS_FOLDER)
        control_token(settings.folder)
        port = _hold(stack, settings.host, settings.port)
        grpc = settings.grpc_port
        grpc = None if grpc is None else _hold(stack, settings.host, grpc)
        shared = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mainspring-")))
        words = ["--port", str(port), "--siblings", str(shared)]
        words += [] if grpc is None else ["--grpc-port", str(grpc)]
        group = _Group([*settings.command, *words], settings.count, shared, tell)
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        stack.callback((settings.folder / ADDRESS_FILE).unlink, missing_ok=True)

        def answering() -> None:
            where = None if grpc is None else f"{shown}:{grpc}"
            tell_address(settings.folder, f"http://{shown}:{port}", where)
            if where is not None:
                grpc_ready(where)
            ready(f"http://{shown}:{port}")

        return group.run(answering)


class _Group:
    def __init__(
        self, command: Sequence[str], count: int, shared: Path, tell: Callable[[str], None]
    ) -> None:
        self._command = command
        self._count = count
        self._shared = shared
        self._tell = tell
        self._processes: list[subprocess.Popen[bytes]] = []
        self._told = threading.Event()
        self._ends: list[float] = []

    def run(self, ready: Callable[[], None]) -> bool:
        before = {
            number: signal.signal(number, self._take)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        try:
            self._processes = [self._start() for _ in range(self._count)]
            if self._wait_until_ready():
                ready()
            return self._keep()
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, _frame: Any) -> None:
        if number == signal.SIGHUP:
            for one in self._processes:
                one.send_signal(number)
        else:
            self._told.set()

    def _start(self) -> subprocess.Popen[bytes]:
        # A group of its own: Ctrl-C reaches us alone, and we stop the processes in order. (A
        # session of its own would not count with ours when Linux shares the machine out, and what
        # is held back in one would press on the others: sched(7), autogroup.) The pipe is held by
        # nobody but us: who reads its end knows that we are gone.
        return subprocess.Popen(  # noqa: S603 - our own command, as a list
            self._command, process_group=0, stdin=subprocess.PIPE
        )

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if len(list(self._shared.glob(f"*{SOCKET_SUFFIX}"))) >= self._count:
                return True
            if any(one.poll() is not None for one in self._processes):
                break
            if self._told.wait(_LOOK_SECONDS):
                return False
        raise Unavailable(
            "serving.gateway_failed",
            "A gateway process did not start.",
            hint="What it said stands above.",
        )

    def _keep(self) -> bool:
        while not self._told.wait(_LOOK_SECONDS):
            for place, one in enumerate(self._processes):
                if one.poll() is None:
                    continue
                (self._shared / f"{one.pid}{SOCKET_SUFFIX}").unlink(missing_ok=True)
                now = time.monotonic()
                self._ends = [*(at for at in self._ends if now - at < _ENDS_SECONDS), now]
                if len(self._ends) > _MOST_ENDS:
                    self._tell("The gateway's processes end again and again; it stops.")
                    return False
                self._tell(f"A gateway process ended ({one.returncode}); another takes its place.")
                if one.stdin is not None:
                    one.stdin.close()
                self._processes[place] = self._start()
        return True

    def _stop(self) -> None:
        for one in self._processes:
            if one.poll() is None:
                one.terminate()
            if one.stdin is not None:
                one.stdin.close()
        deadline = time.monotonic() + _STOP_SECONDS
        for one in self._processes:
            try:
                one.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


def _hold(stack: ExitStack, host: str, port: int) -> int:
    """Keeps a port for the processes: bound, for them to share, but never listening here."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # First as one who shares with nobody, so that somebody else's server there is noticed.
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        held = socket.socket(family, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            held.bind((host, port))
        except OSError as error:
            held.close()
            raise Unavailable(
                "http.address_in_use",
                f"Cannot listen on {host}:{port} ({error.strerror}).",
                hint="Is another server running there? Choose another port.",
                port=port,
            ) from error
        port = int(held.getsockname()[1])
        if option == socket.SO_REUSEADDR:
            held.close()
        else:
            stack.callback(held.close)
    return port
