"""Recording a run from inside training: calls return at once, a thread makes them durable.

What is logged goes into memory (a queue), from there to a spool on disk and into the store, many
points to a commit. Training is never blocked and never ended by tracking: when the store is away,
the spool keeps what was logged and it is sent later, by this process or by the next one. Sending
twice does no harm: exact duplicates of points collapse, parameters are written once.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec

from mainspring.core.errors import Invalid, MainspringError, Unavailable
from mainspring.core.ids import RunId
from mainspring.tracking.anywhere import AnyRuns
from mainspring.tracking.deeds import Deed, Ended
from mainspring.tracking.limits import (
    MAX_INT,
    MAX_PARAM_VALUE,
    MAX_TAG_VALUE,
    MIN_INT,
    check_pairs,
)
from mainspring.tracking.lines import Line, Record
from mainspring.tracking.sending import REFUSED, Sender

FLUSH_SECONDS: Final = 0.05
BEAT_SECONDS: Final = 15.0
RETRY_SECONDS: Final = 2.0
WAIT_SECONDS: Final = 10.0  # the most that training waits for a store that does not answer
QUICK_SECONDS: Final = 1.0
T = TypeVar("T")
log = logging.getLogger("mainspring.tracking")


class Spool(Protocol):
    """Records on disk that a store has not taken yet; they outlive the process."""

    def append(self, record: bytes) -> None:
        """Keeps a record. Errors: ``disk.full``."""
        ...

    def records(self) -> Generator[bytes]:
        """Every record kept, oldest first, one at a time; a torn last one is left out."""
        ...

    def clear(self) -> None:
        """Forgets all records."""
        ...

    def adopt(self) -> int:
        """How many records processes left that are no more; they are this spool's from now on."""
        ...


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


class Recorder:
    """The thread that sends what runs of this process log.

    Concurrency: any thread may log; one thread of this object's own sends. ``tell`` gets one line
    when the store goes away and one when all is sent again. ``offline`` sends nothing: it stays in
    the spool until a recorder that is not adopts it.
    """

    def __init__(
        self,
        sender: Sender,
        spool: Spool,
        *,
        offline: bool = False,
        tell: Callable[[str], None] = log.warning,
    ) -> None:
        self.sender = sender
        self._spool = spool
        self._tell = tell
        self._offline = offline
        self._lines: dict[str, Line] = {}
        self._fresh: list[Record] = []  # taken, not sent
        self._unstored: list[Record] = []  # those of them that the spool had no room for
        self.adopted = 0 if offline else spool.adopt()
        self._behind = self.adopted > 0  # the spool holds more than the fresh
        self._away = False
        self._slow = False  # it is away, and takes long to say so
        self._retry = 0.0
        self._wake = threading.Event()
        self._sending = threading.Lock()
        self._keeping = threading.Lock()  # never held while the store is asked
        self._closed = False
        self._beaten = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="mainspring-recorder", daemon=True)
        self._thread.start()

    @property
    def runs(self) -> AnyRuns:
        """Runs as they are stored."""
        return self.sender.runs

    def line(self, run_id: RunId) -> Line:
        """The queue of a run, alive from now on: the recorder gives its signs of life."""
        return self._lines.setdefault(run_id, Line(run_id))

    def flush(self, run_id: RunId | None = None) -> None:
        """Returns once all that was logged is durable.

        Errors: ``tracking.not_sent`` when the store is away: it stays in the spool.
        """
        with self._sending:
            self._round()
        if self._away or self._offline:
            raise Unavailable(
                "tracking.not_sent",
                "What was logged is kept in the spool: the store cannot be reached.",
                hint="It is sent when the store is back, also by the next process.",
                run_id=run_id,
            )

    def do(self, deed: Callable[[], T], later: Callable[[], Deed]) -> T | None:
        """What a deed gives, done at once; None when the store is away, and it is done later.

        Errors: what the store will never take.
        """
        if not self._away and not self._offline and self._sending.acquire(timeout=WAIT_SECONDS):
            try:
                return deed()
            except REFUSED:
                raise
            except MainspringError as error:
                self._gone(error)
            finally:
                self._sending.release()
        made = later()
        self._keep(Record(made.run_id, deed=made))
        return None

    def end(self, ended: Ended) -> None:
        """Ends a run behind all that was logged to it, now or when the store is back."""
        if not self._slow and not self._offline and self._sending.acquire(timeout=WAIT_SECONDS):
            try:
                self._round()
            finally:
                self._sending.release()
        try:
            self.do(lambda: self.sender.do(ended), lambda: ended)
        except MainspringError as error:
            self._lost(error)
        self._lines.pop(ended.run_id, None)

    def say(self, text: str) -> None:
        """Tells a line."""
        self._tell(text)

    def close(self) -> None:
        """Sends what is queued, as far as possible, and ends the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    # -- the thread -----------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait(FLUSH_SECONDS)
            if self._away and time.monotonic() < self._retry:
                with self._keeping:
                    self._take()
                continue
            with self._sending:
                self._round()
        with self._sending:
            self._round()

    def _round(self) -> None:
        """Spools and sends all that is queued, and what waits; keeps what cannot be sent now."""
        with self._keeping:
            self._take()
            fresh, self._fresh = self._fresh, []
            stored, behind = len(self._unstored), self._behind
        if self._offline:
            return
        began = time.monotonic()
        try:
            if behind:
                with contextlib.closing(self._spool.records()) as records:
                    self.sender.send(map(_decode, records), self._lost)
                self.sender.send(self._unstored[:stored], self._lost)
            elif fresh:
                self.sender.send(fresh, self._lost)
            self._beat()
        except MainspringError as error:
            self._behind = True
            self._slow = time.monotonic() - began > QUICK_SECONDS
            self._gone(error)
            return
        with self._keeping:
            del self._unstored[:stored]
            if behind or fresh:
                # What came meanwhile is in the spool and fresh: it goes again, and again is once.
                self._spool.clear() if not self._fresh else None
                self._behind = False
        if self._away:
            self._away = self._slow = False
            self._tell("mainspring: the store is back; all that was logged is sent")

    def _take(self) -> None:
        """Moves what is queued to the spool; what it has no room for stays in memory."""
        while self._unstored and self._stored(self._unstored[0]):
            self._unstored.pop(0)
        for line in list(self._lines.values()):
            while (record := line.take()) is not None:
                self._add(record)

    def _add(self, record: Record) -> None:
        if self._unstored or not self._stored(record):
            self._unstored.append(record)
        if not self._offline:
            self._fresh.append(record)

    def _stored(self, record: Record) -> bool:
        try:
            self._spool.append(_encode(record))
        except MainspringError as error:
            if not self._unstored:
                self._tell(f"mainspring: what is logged waits in memory ({error.message})")
            return False
        return True

    def _keep(self, record: Record) -> None:
        with self._keeping:
            self._take()
            self._add(record)

    def _lost(self, error: MainspringError) -> None:
        # The store will never take it (the run is deleted, a parameter has another value):
        # training goes on, and the loss is said once.
        self._tell(f"mainspring: not logged: {error}")

    def _gone(self, error: MainspringError) -> None:
        self._retry = time.monotonic() + RETRY_SECONDS
        if not self._away:
            self._away = True
            self._tell(
                f"mainspring: tracking is away, training goes on and nothing is lost ({error.message})"
            )

    def _beat(self) -> None:
        """Signs of life of this process's runs; after a silence they may be taken for lost."""
        now = time.monotonic()
        silent = now - self._beaten
        if not self._lines or (silent < BEAT_SECONDS and not self._away):
            return
        if self._away or silent > 2 * BEAT_SECONDS:
            for run_id in list(self._lines):
                with contextlib.suppress(*REFUSED):  # deleted meanwhile
                    self.sender.revive(run_id)
        self.runs.seen(list(self._lines))
        self.runs.end_lost()
        self._beaten = now


def whole(step: Any) -> int:
    """A step as Python's own integer, whatever library counted it. Errors: ``tracking.bad_value``."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = int(step)
        if number == step and MIN_INT <= number <= MAX_INT:
            return number
    raise Invalid(
        "tracking.bad_value",
        f"A step is a whole number of 64 bits, not {step!r:.40}.",
        hint="Leave it out to count by itself.",
    )


def check_params(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters as text. Errors: ``tracking.bad_value``."""
    pairs = [(key, str(value)) for key, value in values.items()]
    return list(check_pairs("parameter", pairs, MAX_PARAM_VALUE))


def check_tags(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Tags as text. Errors: ``tracking.bad_value``."""
    return list(check_pairs("tag", [(k, str(v)) for k, v in values.items()], MAX_TAG_VALUE))
