"""The parent's side of a model in a process of its own: bounded messages, and an end to waiting."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import struct
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Broken, Invalid, TimedOut
from mainspring.core.schema import Signature
from mainspring.serving.refusals import unreadable

Array = NDArray[np.float64]

SCRIPT: Final = Path(__file__).with_name("answering.py")
START_SECONDS: Final = 120.0
ANSWER_SECONDS: Final = 10.0
MOST_HEAD_BYTES: Final = 65_536
MOST_ROWS: Final = 1_000_000
# Nothing of this process's surroundings is handed on: no token, no password, no path of imports.
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR")


class Head(msgspec.Struct, frozen=True):
    """What the child says before the bytes."""

    ready: bool = False
    rows: int = 0
    error: str = ""


class Child:
    """A model in another process; killed when it does not answer, and with this object."""

    def __init__(
        self,
        command: Sequence[str],
        files: Mapping[str, bytes],
        signature: Signature,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._seconds = answer_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="mainspring-model-"))
        write_files(self._folder, files)
        (self._folder / "signature.json").write_bytes(msgspec.json.encode(signature))
        surroundings = {name: os.environ[name] for name in _KEPT if name in os.environ}
        surroundings |= {"OMP_NUM_THREADS": "1", "HOME": str(self._folder)}
        self._process = subprocess.Popen(  # noqa: S603 - a Python that the setting names, as a list
            [*command, str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=surroundings,
            cwd=self._folder,
            start_new_session=True,
        )
        self._end = weakref.finalize(self, _end, self._process, self._folder)
        head, _ = self._hear(time.monotonic() + START_SECONDS)
        if not head.ready:
            self._end()
            raise unreadable("the model", f"its process says {head.error!r}")

    def predict(self, inputs: Array) -> Array:
        """One number per row.

        Errors: ``serving.prediction_failed`` with what the model said; ``serving.model_hangs`` when
        it does not answer in time: its process is then gone.
        """
        rows = np.ascontiguousarray(inputs, dtype="<f8")
        deadline = time.monotonic() + self._seconds
        head = msgspec.json.encode({"shape": rows.shape})
        self._say(struct.pack("<I", len(head)) + head + rows.tobytes(), deadline)
        said, body = self._hear(deadline)
        if said.error or said.rows != len(rows):
            raise Invalid(
                "serving.prediction_failed",
                f"The model answered {said.error or f'{said.rows} of {len(rows)} rows'!r}.",
                hint="Compare the model's signature with the rows that were sent.",
            )
        return np.frombuffer(body, dtype="<f8").astype(np.float64)

    def _hear(self, deadline: float) -> tuple[Head, bytes]:
        pipe = self._pipe(self._process.stdout)
        (size,) = struct.unpack("<I", self._read(pipe, 4, deadline))
        if size > MOST_HEAD_BYTES:
            raise self._gone("said something that is no answer")
        try:
            head = msgspec.json.decode(self._read(pipe, size, deadline), type=Head)
        except msgspec.MsgspecError as error:
            raise self._gone("said something that is no answer") from error
        if not 0 <= head.rows <= MOST_ROWS:
            raise self._gone("said something that is no answer")
        return head, self._read(pipe, head.rows * 8, deadline)

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
        pipe, left = self._pipe(self._process.stdin), memoryview(data)
        os.set_blocking(pipe, False)
        while left:
            self._wait(pipe, selectors.EVENT_WRITE, deadline)
            try:
                left = left[os.write(pipe, left) :]
            except BrokenPipeError as error:
                raise self._gone("ended") from error

    def _pipe(self, file: IO[bytes] | None) -> int:
        if file is None or not self._end.alive:
            raise self._gone("ended")
        return file.fileno()

    def _wait(self, pipe: int, event: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if selector.select(max(0.0, deadline - time.monotonic())):
                return
        self._end()
        raise TimedOut(
            "serving.model_hangs",
            f"The model's process did not answer within {self._seconds:g} seconds and was ended.",
            hint="Take the version out of the route, or give it smaller requests.",
        )

    def _gone(self, what: str) -> Broken:
        self._end()
        return Broken(
            "serving.model_ended",
            f"The model's process {what}.",
            hint="Deploy the version again; if it ends again, take it out of the route.",
        )


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """The files of a package (whose paths were checked with its manifest) below a new folder."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _end(process: subprocess.Popen[Any], folder: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
