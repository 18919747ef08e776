"""The writer of prediction records: off the hot path, in groups, with a stated loss window.

Single rows that are handed over are encoded at once, some dozens together: while they are still in
the processor's cache that costs a microsecond or two each, and among thousands of others, a fifth
of a second later, several times that. Many rows of one request wait for the thread, which cuts
their columns beside the next request. It takes what has gathered, appends it to the open segment
and syncs the file. Loss window: a process that is killed loses at most the rows of the last
``flush_seconds`` plus the flush that was under way; rows handed over with ``when_stored`` are
synced before that is called, together with everything that gathered while the sync before was
running (group commit). A full buffer refuses rows and counts them.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mainspring.core.errors import TimedOut, Unavailable
from mainspring.core.ids import new_id
from mainspring.serving.records import (
    MARK,
    Answered,
    Block,
    Layouts,
    Outcomes,
    SegmentEncoder,
    outcomes_block,
    rows_block,
)
from mainspring.serving.routes import sync_folder

OPEN_SUFFIX: Final = ".open"
SEALED_SUFFIX: Final = ".segment"
_SEAL_TIMEOUT_SECONDS: Final = 30.0
_ENCODED_ROWS: Final = 64  # together: fewer cost more each, more leave the cache

WhenStored = Callable[[Unavailable | None], None]


@dataclass(frozen=True, slots=True)
class RecorderLimits:
    """How long rows may wait, how many may, and when a segment is full."""

    flush_seconds: float = 0.2
    buffer_rows: int = 100_000
    segment_bytes: int = 64 << 20
    segment_seconds: float = 60.0


class _Segment:
    """An open file that only this process appends to (it holds a lock on it)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{new_id()}{OPEN_SUFFIX}"
        self._encoder = SegmentEncoder()
        self.opened_seconds = time.monotonic()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(self.path, flags, 0o600)
        self.size_bytes = 0
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write(MARK)
            sync_folder(folder)
        except OSError:
            os.close(self._descriptor)
            raise

    def append(self, blocks: list[Block]) -> None:
        """Writes and syncs; on a failure the file is cut back to what it was."""
        self._write(b"".join(map(self._encoder.encode, blocks)))

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size_bytes)
            raise
        self.size_bytes += len(data)

    def seal(self) -> None:
        """Closes the file under the name that says: nobody will write to it any more."""
        try:
            self.path.rename(self.path.with_suffix(SEALED_SUFFIX))
            sync_folder(self.path.parent)
        finally:
            os.close(self._descriptor)  # a file left open by name is sealed by whoever ships


class Recorder:
    """Appends prediction records to segments in one folder. Safe to call from any thread."""

    def __init__(self, folder: Path, limits: RecorderLimits | None = None) -> None:
        self._folder = folder
        self._limits = limits or RecorderLimits()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._turn = threading.Condition(self._lock)
        self._layouts = Layouts()
        self._fresh: dict[tuple[int, bool], list[Answered]] = {}  # what may share a block
        self._large: list[list[Answered]] = []
        self._blocks: list[Block] = []
        self._waiting: list[WhenStored] = []
        self._waiting_rows = 0
        self._urgent = self._stopping = False
        self._seals: list[Future[None]] = []
        self._segment: _Segment | None = None
        self.stored_rows = self.lost_rows = 0
        self._thread = threading.Thread(target=self._run, name="prediction-records", daemon=True)
        self._thread.start()

    def append(self, answered: Answered | Outcomes, when_stored: WhenStored | None = None) -> bool:
        """Whether the rows were taken; False, and counted as lost, when the buffer is full.

        ``when_stored`` is called from the writer's thread once the rows are on disk, or with the
        reason why they are not; it is never called when the rows were not taken.
        """
        rows = len(answered.ids)
        with self._lock:
            if self._stopping or self._waiting_rows + rows > self._limits.buffer_rows:
                self.lost_rows += rows
                return False
            if isinstance(answered, Answered):
                self._gather(answered)
            else:
                self._blocks.append(outcomes_block(answered))
            self._waiting_rows += rows
            if when_stored is not None:
                self._waiting.append(when_stored)
                self._urgent = True
                self._turn.notify()
        return True

    def _gather(self, answered: Answered) -> None:
        if len(answered.ids) >= _ENCODED_ROWS:
            self._large.append([answered])
            return
        key = (id(answered.layout), answered.ids_given)
        some = self._fresh.get(key)
        if some is None:
            some = self._fresh[key] = []
        some.append(answered)
        if len(some) >= _ENCODED_ROWS:
            del self._fresh[key]
            self._blocks.append(rows_block(self._layouts.numbered(answered.layout), some))

    def seal(self) -> None:
        """Everything taken so far is in sealed segments.

        Errors: ``serving.records_not_stored``, ``serving.seal_timed_out``.
        """
        done: Future[None] = Future()
        with self._turn:
            self._seals.append(done)
            self._turn.notify()
        try:
            done.result(_SEAL_TIMEOUT_SECONDS)
        except FutureTimeout as error:
            raise TimedOut(
                "serving.seal_timed_out",
                "The prediction records could not be sealed in time.",
                hint="Look at the disk of the records folder.",
            ) from error

    def close(self) -> None:
        """Stores what was taken, seals, and stops."""
        with self._turn:
            self._stopping = True
            self._turn.notify()
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            with self._turn:
                self._turn.wait_for(self._called, timeout=self._limits.flush_seconds)
                groups = [
                    (self._layouts.numbered(some[0].layout), some)
                    for some in (*self._fresh.values(), *self._large)
                ]
                self._fresh, self._large = {}, []
                blocks, self._blocks = self._blocks, []
                waiting, self._waiting = self._waiting, []
                seals, self._seals = self._seals, []
                rows, self._waiting_rows, self._urgent = self._waiting_rows, 0, False
                stopping = self._stopping
            blocks += [rows_block(layout, some) for layout, some in groups]
            failure = self._store(blocks, rows) if blocks else None
            for when_stored in waiting:
                when_stored(failure)
            if self._segment is not None and (seals or stopping or self._is_full(self._segment)):
                failure = self._seal_segment() or failure
            for done in seals:
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)

    def _called(self) -> bool:
        return self._urgent or self._stopping or bool(self._seals)

    def _is_full(self, segment: _Segment) -> bool:
        age = time.monotonic() - segment.opened_seconds
        return (
            segment.size_bytes >= self._limits.segment_bytes or age >= self._limits.segment_seconds
        )

    def _store(self, blocks: list[Block], rows: int) -> Unavailable | None:
        try:
            if self._segment is None:
                self._segment = _Segment(self._folder)
            self._segment.append(blocks)
            self.stored_rows += rows
        except OSError as error:
            self.lost_rows += rows
            # The encoder has told layouts that never reached the file, so the segment ends here.
            self._seal_segment()
            return self._not_stored(error)
        return None

    def _seal_segment(self) -> Unavailable | None:
        segment, self._segment = self._segment, None
        if segment is None:
            return None
        try:
            segment.seal()
        except OSError as error:
            return self._not_stored(error)
        return None

    def _not_stored(self, error: OSError) -> Unavailable:
        return Unavailable(
            "serving.records_not_stored",
            f"The prediction records could not be stored: {error.strerror}.",
            hint="Free space on the disk of the records folder, then send the request again.",
            folder=str(self._folder),
        )
