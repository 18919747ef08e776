"""The parent's side of a model in a process of its own: bounded messages, and an end to waiting."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import selectors
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Broken, Invalid, MainspringError, TimedOut
from mainspring.core.schema import Signature
from mainspring.serving.refusals import unreadable

Array = NDArray[np.float64]

SCRIPT: Final = Path(__file__).with_name("answering.py")
START_SECONDS: Final = 120.0
ANSWER_SECONDS: Final = 10.0
REST_SECONDS: Final = 30.0
MOST_HEAD_BYTES: Final = 65_536
MOST_NUMBERS: Final = 16_000_000
# Nothing of this process's surroundings is handed on: no token, no password, no path of imports.
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR")


class Head(msgspec.Struct, frozen=True):
    """What the child says before the bytes."""

    ready: bool = False
    explains: bool = False
    shape: tuple[int, ...] = ()
    error: str = ""


class Child:
    """A model in another process; killed when it does not answer, and with this object.

    A process that ended is started again by the next question, but not within ``rest_seconds`` of
    its last start. ``room_bytes``: it is held back (:func:`hold_back`), with so much memory for
    what it makes once it is loaded. ``explain``, where the model can: as the port has it.
    """

    def __init__(
        self,
        command: Sequence[str],
        files: Mapping[str, bytes],
        signature: Signature,
        answer_seconds: float = ANSWER_SECONDS,
        *,
        rest_seconds: float = REST_SECONDS,
        room_bytes: int | None = None,
    ) -> None:
        self._seconds = answer_seconds
        self._rest_seconds = rest_seconds
        self._room_bytes = room_bytes
        self._folder = Path(tempfile.mkdtemp(prefix="mainspring-model-"))
        self._command = [*command, str(self._folder)]
        self._running = _Running()
        self._asking = threading.Lock()  # one question at a time is on the pipe
        self.explain: Callable[[Array], Array] | None = None
        self._gone_for_good = weakref.finalize(self, _clear, self._running, self._folder)
        write_files(self._folder, files)
        (self._folder / "signature.json").write_bytes(msgspec.json.encode(signature))
        try:
            self._start()
        except MainspringError:
            self._gone_for_good()
            raise

    @property
    def pid(self) -> int | None:
        """The process that answers, if there is one."""
        process = self._running.process
        return None if process is None else process.pid

    def _start(self) -> None:
        surroundings = {name: os.environ[name] for name in _KEPT if name in os.environ}
        surroundings |= {"OMP_NUM_THREADS": "1", "HOME": str(self._folder)}
        self._started_at = time.monotonic()
        self._running.process = subprocess.Popen(  # noqa: S603 - a Python that the setting names, as a list
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=surroundings,
            cwd=self._folder,
            # A group can be killed whole. A session would not do: Linux gives each an equal share
            # of the machine, whatever runs in it (sched(7), autogroup), so nothing held it back.
            process_group=0,
        )
        head, _ = self._hear(time.monotonic() + START_SECONDS)
        if not head.ready:
            self._running.end()
            raise unreadable("the model", f"its process says {head.error!r}")
        self.explain = self._explain if head.explains else None
        if self._room_bytes is not None:
            hold_back(self._running.process.pid, self._room_bytes)

    def _start_again(self) -> None:
        if self._running.process is not None:
            return
        if time.monotonic() - self._started_at < self._rest_seconds:
            raise self._gone("ended")
        try:
            self._start()
        except Invalid as error:
            raise self._gone(f"does not start again ({error})") from error

    def predict(self, inputs: Array) -> Array:
        """One number per row.

        Errors: ``serving.prediction_failed`` with what the model said; ``serving.model_ended``;
        ``serving.model_hangs`` when it does not answer in time: its process is then gone.
        """
        return self._ask("predict", inputs)

    def _explain(self, inputs: Array) -> Array:
        """What each input adds, by row. Errors: as :meth:`predict`."""
        return self._ask("explain", inputs)

    def _ask(self, what: str, inputs: Array) -> Array:
        with self._asking:
            self._start_again()
            rows = np.ascontiguousarray(inputs, dtype="<f8")
            deadline = time.monotonic() + self._seconds
            head = msgspec.json.encode({"ask": what, "shape": rows.shape})
            self._say(struct.pack("<I", len(head)) + head + rows.tobytes(), deadline)
            said, body = self._hear(deadline)
        if said.error or said.shape[:1] != (len(rows),):
            raise Broken(
                "serving.prediction_failed",
                f"The model answered {said.error or f'{said.shape} numbers to {len(rows)} rows'!r}.",
                hint="Compare the model's signature with the rows that were sent.",
            )
        return np.frombuffer(body, dtype="<f8").astype(np.float64).reshape(said.shape)

    def _hear(self, deadline: float) -> tuple[Head, bytes]:
        pipe = self._pipe("stdout")
        (size,) = struct.unpack("<I", self._read(pipe, 4, deadline))
        if size > MOST_HEAD_BYTES:
            raise self._gone("said something that is no answer")
        try:
            head = msgspec.json.decode(self._read(pipe, size, deadline), type=Head)
        except msgspec.MsgspecError as error:
            raise self._gone("said something that is no answer") from error
        count = math.prod(head.shape) if head.shape else 0
        if not 0 <= count <= MOST_NUMBERS or any(length < 0 for length in head.shape):
            raise self._gone("said something that is no answer")
        return head, self._read(pipe, count * 8, deadline)

    def _read(self, pipe: int, count: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            self._wait(pipe, selectors.EVENT_READ, deadline)
            some = os.read(pipe, min(count - len(parts), 1 << 20))
            if not some:
                raise self._gone("ended")
            parts += some
        return bytes(parts)

    def _say(self, data: bytes, deadline: float) -> None:
        pipe, left = self._pipe("stdin"), memoryview(data)
        os.set_blocking(pipe, False)
        while left:
            self._wait(pipe, selectors.EVENT_WRITE, deadline)
            try:
                left = left[os.write(pipe, left) :]
            except BrokenPipeError as error:
                raise self._gone("ended") from error

    def _pipe(self, name: Literal["stdin", "stdout"]) -> int:
        process = self._running.process
        file: IO[bytes] | None = None if process is None else getattr(process, name)
        if file is None:
            raise self._gone("ended")
        return file.fileno()

    def _wait(self, pipe: int, event: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if selector.select(max(0.0, deadline - time.monotonic())):
                return
        self._running.end()
        raise TimedOut(
            "serving.model_hangs",
            f"The model's process did not answer within {self._seconds:g} seconds and was ended.",
            hint="Take the version out of the route, or give it smaller requests.",
        )

    def _gone(self, what: str) -> Broken:
        self._running.end()
        return Broken(
            "serving.model_ended",
            f"The model's process {what}.",
            hint=f"It is started again after {self._rest_seconds:g} seconds; or take it out of the route.",
        )


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """The files of a package (whose paths were checked with its manifest) below a new folder."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def hold_back(pid: int, room_bytes: int) -> None:
    """From now on the process runs when nobody else wants to, and has so much more memory.

    Beyond it, its allocations fail. Of all processes it is the first that a machine without memory
    ends. Linux only: elsewhere nothing happens.

    Source: sched(7), SCHED_IDLE; getrlimit(2), RLIMIT_DATA, which counts private writable memory
    since Linux 4.7; proc(5), oom_score_adj.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):  # it ended meanwhile: who asks it next finds out
        status = Path(f"/proc/{pid}/status").read_text()
        used = next(line for line in status.splitlines() if line.startswith("VmData:"))
        most = int(used.split()[1]) * 1024 + room_bytes
        resource.prlimit(pid, resource.RLIMIT_DATA, (most, most))
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))


class _Running:
    """The process of the moment."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def end(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _clear(running: _Running, folder: Path) -> None:
    running.end()
    shutil.rmtree(folder, ignore_errors=True)
