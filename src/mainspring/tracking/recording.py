"""Recording a run from inside training: calls return at once, a thread makes them durable.

What is logged goes into memory (a queue), from there to a spool on disk and into the store, many
points to a commit. Training is never blocked and never ended by tracking: when the store is away,
the spool keeps what was logged and it is sent later, by this process or by the next one. Sending
twice does no harm: exact duplicates of points collapse, parameters are written once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from mainspring.core.errors import MainspringError, Unavailable
from mainspring.core.ids import RunId
from mainspring.tracking.batches import check_points
from mainspring.tracking.limits import MAX_PARAM_VALUE, MAX_TAG_VALUE, check_pairs
from mainspring.tracking.runs import Runs
from mainspring.tracking.types import Batch, Point

FLUSH_SECONDS: Final = 0.05
BEAT_SECONDS: Final = 15.0
RETRY_SECONDS: Final = 2.0
MOST_POINTS: Final = 20_000
_PAIRS: Final = 100
log = logging.getLogger("mainspring.tracking")


class Spool(Protocol):
    """Records on disk that a store has not taken yet; they outlive the process."""

    def append(self, record: bytes) -> None:
        """Keeps a record. Errors: ``disk.full``."""
        ...

    def records(self) -> list[bytes]:
        """Every record kept, oldest first; a torn last one is left out."""
        ...

    def clear(self) -> None:
        """Forgets all records."""
        ...

    def adopt(self) -> list[bytes]:
        """The records that processes left which are no more; they are this spool's from now on."""
        ...


class Record(msgspec.Struct, array_like=True):
    """What goes to a run in one batch, as the spool keeps it."""

    run_id: str
    points: list[Point] = []
    params: list[tuple[str, str]] = []
    tags: list[tuple[str, str]] = []

    def batch(self) -> Batch:
        return Batch(points=tuple(self.points), params=tuple(self.params), tags=tuple(self.tags))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


@dataclass(slots=True)
class Line:
    """The queue of one run: points as logged, pairs as checked."""

    run_id: RunId
    points: deque[tuple[Mapping[str, float], int, int]] = field(default_factory=deque)
    params: deque[tuple[str, str]] = field(default_factory=deque)
    tags: deque[tuple[str, str]] = field(default_factory=deque)

    def take(self) -> Record | None:
        """What is queued, up to a batch; None when nothing is."""
        rows: list[Any] = []  # plain tuples: a third of the price of Point, and a million pass by
        queue = self.points
        while queue and len(rows) < MOST_POINTS:
            values, step, time_ms = queue.popleft()
            for key, value in values.items():
                rows.append((key, value, step, time_ms))  # noqa: PERF401 - two levels deep
        points: list[Point] = rows
        record = Record(self.run_id, points, _taken(self.params), _taken(self.tags))
        return record if points or record.params or record.tags else None


class Recorder:
    """The thread that sends what runs of this process log.

    Concurrency: any thread may log; one thread of this object's own sends. ``tell`` gets one line
    when the store goes away and one when all is sent again.
    """

    def __init__(
        self, runs: Runs, spool: Spool, *, tell: Callable[[str], None] = log.warning
    ) -> None:
        self.runs = runs
        self._spool = spool
        self._tell = tell
        self._lines: dict[str, Line] = {}
        self._away = False
        self._spooled: list[Record] = [_decode(data) for data in spool.adopt()]
        self._wake = threading.Event()
        self._sending = threading.Lock()
        self._closed = False
        self._beaten = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="mainspring-recorder", daemon=True)
        self._thread.start()

    def line(self, run_id: RunId) -> Line:
        """The queue of a run, alive from now on: the recorder gives its signs of life."""
        return self._lines.setdefault(run_id, Line(run_id))

    def flush(self, run_id: RunId | None = None) -> None:
        """Returns once all that was logged is durable.

        Errors: ``tracking.not_sent`` when the store is away: it stays in the spool.
        """
        with self._sending:
            self._send()
        if self._away:
            raise Unavailable(
                "tracking.not_sent",
                "What was logged is kept in the spool: the store cannot be reached.",
                hint="It is sent when the store is back, also by the next process.",
                run_id=run_id,
            )

    def leave(self, run_id: RunId) -> None:
        """Ends the signs of life of a run."""
        self._lines.pop(run_id, None)

    def close(self) -> None:
        """Sends what is queued, as far as possible, and ends the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    # -- the thread -----------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait(RETRY_SECONDS if self._away else FLUSH_SECONDS)
            with self._sending:
                self._send()
                self._beat()
        with self._sending:
            self._send()

    def _send(self) -> None:
        """Spools and sends all that is queued; keeps what the store does not take now."""
        for line in list(self._lines.values()):
            while (record := line.take()) is not None:
                self._keep(record)
        if not self._spooled:
            return
        futures = []
        try:
            for record in self._spooled:
                batch = record.batch()
                futures.append(
                    self.runs.log(record.run_id, batch, most_points=2 * len(batch.points) + 1000)
                )
            for future in futures:
                self._settle(future)
        except Unavailable as error:
            self._gone(error)
            return
        self._spooled = []
        self._spool.clear()
        if self._away:
            self._away = False
            self._tell("mainspring: the store is back; all that was logged is sent")

    def _settle(self, future: Any) -> None:
        try:
            future.result()
        except Unavailable:
            raise
        except MainspringError as error:
            # The store will never take it (the run is deleted, a parameter has another value):
            # training goes on, and the loss is said once.
            self._tell(f"mainspring: not logged: {error}")

    def _keep(self, record: Record) -> None:
        self._spooled.append(record)
        try:
            self._spool.append(_encode(record))
        except MainspringError as error:
            self._gone(error)

    def _gone(self, error: MainspringError) -> None:
        if not self._away:
            self._away = True
            self._tell(
                f"mainspring: tracking is away, training goes on and nothing is lost ({error.message})"
            )

    def _beat(self) -> None:
        now = time.monotonic()
        if self._lines and now - self._beaten >= BEAT_SECONDS:
            self._beaten = now
            try:
                self.runs.seen(list(self._lines))
            except MainspringError as error:
                self._gone(error)


def _taken(queue: deque[tuple[str, str]]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    while queue and len(found) < _PAIRS:
        key, value = queue.popleft()
        found[key] = value
    return list(found.items())


def check_values(values: Mapping[str, float], step: int) -> None:
    """Refuses names and steps that can never be stored. Errors: ``tracking.bad_value``."""
    check_points([Point(key, value, step, 0) for key, value in values.items()])


def check_params(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters as text. Errors: ``tracking.bad_value``."""
    pairs = [(key, str(value)) for key, value in values.items()]
    return list(check_pairs("parameter", pairs, MAX_PARAM_VALUE))


def check_tags(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Tags as text. Errors: ``tracking.bad_value``."""
    return list(check_pairs("tag", [(k, str(v)) for k, v in values.items()], MAX_TAG_VALUE))
