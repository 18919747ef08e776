"""Worker processes of this machine: started once, each doing one piece after the other.

Not ``multiprocessing``: a process that is started by it runs the caller's main script once more,
and both would have to be written for that.
"""

from __future__ import annotations

import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from mainspring.ports.compute import told, worker_lost

LENGTH: Final = struct.Struct("<Q")
_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
_TRIES: Final = 2
_STOP_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.2


class LocalProcesses:
    """:class:`mainspring.ports.compute.Compute` on this machine. One ``run`` at a time."""

    def __init__(self, workers: int) -> None:
        self._workers = [_Worker() for _ in range(max(1, workers))]

    @property
    def workers(self) -> int:
        return len(self._workers)

    def run(self, work: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        turn = _Turn(work, iter(pieces), 2 * self.workers)
        ended = False
        with ThreadPoolExecutor(self.workers, thread_name_prefix="compute") as threads:
            for one in self._workers:
                threads.submit(turn.serve, one).add_done_callback(turn.put)
            try:
                yield from turn.listened(self.workers)
                ended = True
            finally:
                turn.stop.set()
                if not ended:
                    # Nobody listens, or a piece failed: the rest is not worth its time.
                    self.close()

    def close(self) -> None:
        for worker in self._workers:
            worker.end()


class _Turn:
    """One run: what waits, what has come back, and whether anybody still listens."""

    def __init__(self, work: str, waiting: Iterator[bytes], room: int) -> None:
        self.stop = threading.Event()
        self._work, self._waiting, self._lock = work, waiting, threading.Lock()
        # A future stands for a worker that does no more, by an error or for want of pieces.
        self._results: queue.Queue[bytes | Future[None]] = queue.Queue(room)

    def serve(self, worker: _Worker) -> None:
        """Gives one worker piece after piece."""
        while not self.stop.is_set() and (piece := self._next()) is not None:
            self.put(worker.ask(self._work, piece))

    def listened(self, workers: int) -> Iterator[bytes]:
        """What comes back, until every worker has found nothing more to do."""
        while workers:
            result = self._results.get()
            if isinstance(result, Future):
                result.result()
                workers -= 1
            else:
                yield told(result)

    def put(self, result: bytes | Future[None]) -> None:
        """Hands a result over as soon as there is room, unless nobody wants it."""
        while not self.stop.is_set():
            try:
                self._results.put(result, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return

    def _next(self) -> bytes | None:
        with self._lock:
            return next(self._waiting, None)


class _Worker:
    """One process, started when it is first asked, and again when it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def ask(self, work: str, piece: bytes) -> bytes:
        """What the process sends back. Errors: ``compute.worker_lost``."""
        how = ""
        for _ in range(_TRIES):
            process = self._running()
            try:
                _say(process, work.encode())
                _say(process, piece)
                return _hear(process)
            except (OSError, EOFError, ValueError):
                self._let_go()
                how = f"exit code {process.wait()}"
            if self._ended:
                break
        raise worker_lost(how)

    def end(self) -> None:
        """Ends the process, in the middle of a piece if need be."""
        self._ended = True
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._let_go()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            if self._ended:
                raise worker_lost("it was told to end")
            # A group of its own: Ctrl-C reaches us alone. It ends when its standard input does,
            # so it does not outlive us.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mainspring._adapters.process.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **_ONE_THREAD},
                process_group=0,
            )
        return self._process

    def _let_go(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:
                        continue  # what was left to write has nobody to read it


def _say(process: subprocess.Popen[bytes], data: bytes) -> None:
    if process.stdin is None:
        raise EOFError
    process.stdin.write(LENGTH.pack(len(data)) + data)
    process.stdin.flush()


def _hear(process: subprocess.Popen[bytes]) -> bytes:
    if process.stdout is None:
        raise EOFError
    (size,) = LENGTH.unpack(_whole(process, LENGTH.size))
    return _whole(process, size)


def _whole(process: subprocess.Popen[bytes], size: int) -> bytes:
    data = process.stdout.read(size) if process.stdout is not None else b""
    if len(data) < size:
        raise EOFError
    return data
