"""One lane per loaded model: what arrived while the last batch ran is the next batch.

No timer and no waiting for company: a lone request runs at the end of the event loop's turn, with
whatever else arrived in that turn. A model that proved quick runs on the loop itself; a slow one
has a thread of its own, so that the others go on. A batch that fails is tried again request by
request, so a bad row fails nobody but its own request.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from mainspring._entrypoints.inference.threads import ModelThread
from mainspring.core.errors import Broken, MainspringError, TimedOut, Unavailable
from mainspring.serving.model import Array, Scores, ServedModel


class Waiting(Protocol):
    """Who waits for scores: a future, or what behaves like one."""

    def done(self) -> bool:
        """Whether it is settled, or waits no more."""
        ...

    def set_result(self, scores: Scores, /) -> None:
        """Settles it."""
        ...

    def set_exception(self, error: MainspringError, /) -> None:
        """Settles it otherwise."""
        ...


_Asked = tuple[Array, Waiting, float]  # and until when it may wait


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much may run and wait in one lane, and when a batch counts as slow or lost.

    ``wait_seconds``: who waited longer is told to come again instead of being computed for nobody.
    ``slow_seconds``: a batch expected to take longer runs on the lane's own thread.
    """

    batch_rows: int = 4096
    waiting_rows: int = 65_536
    slow_seconds: float = 0.010
    wait_seconds: float = 5.0
    run_seconds: float = 5.0
    failures: int = 5
    rest_seconds: float = 30.0


_FEW_ROWS: Final = 64
_ENOUGH_SECONDS: Final = 1.0
# Batches are counted by size: at most 1 row, 2, 4, 8, ... 4096, and more.
BATCH_SIZES: Final = 13
DEFAULT_LIMITS: Final = LaneLimits()


class Lane:
    """Runs one model's batches, one after the other. Used from the event loop only."""

    def __init__(
        self, model: ServedModel, limits: LaneLimits = DEFAULT_LIMITS, *, on_thread: bool = False
    ) -> None:
        self.model = model
        self.on_thread = on_thread
        self._limits = limits
        self._waiting: list[_Asked] = []
        self._waiting_rows = 0
        self._scheduled = self._running = self._hung = False
        self._few_seconds = self._row_seconds = 0.0
        self._usual_rows = 1.0
        self._thread: ModelThread | None = None
        self._failures = 0
        self._out_until = 0.0
        self.batched_rows = 0
        self.batch_sizes = [0] * (BATCH_SIZES + 1)

    def is_out(self, *, sole: bool) -> bool:
        """Whether nothing is sent to the model for now: it hangs, or failed many times in a row.

        A ``sole`` model (a champion) does not rest after failures: nobody could stand in for it,
        and whoever sends it bad rows would shut it for everyone.
        """
        return self._hung or (not sole and self._out_until > time.monotonic())

    @property
    def waiting_rows(self) -> int:
        return self._waiting_rows

    @property
    def room(self) -> int:
        """How many requests of the usual size may come before enough waits.

        Enough is half of what may wait, or what the model needs a second for.
        """
        most = self._limits.waiting_rows / 2
        if self._row_seconds:
            most = min(most, max(_FEW_ROWS, _ENOUGH_SECONDS / self._row_seconds))
        # Where nothing waits there is room for one, whatever is usual: else a few requests of many
        # rows would shut the endpoint for good, for what is not let in changes nothing.
        return max(
            0 if self._waiting_rows else 1, int((most - self._waiting_rows) / self._usual_rows)
        )

    def submit(self, matrix: Array, *, sole: bool = False) -> asyncio.Future[Scores]:
        """The scores of some encoded rows, later.

        Errors: ``serving.busy`` at once when too many rows wait, ``serving.variant_out``;
        ``serving.prediction_failed`` and ``serving.timed_out`` in the future.
        """
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        self.add(matrix, future, sole=sole)
        return future

    def add(self, matrix: Array, waiting: Waiting, *, sole: bool = False) -> None:
        """Like :meth:`submit`, for who brings something to settle."""
        if self.is_out(sole=sole):
            raise _out()
        if self._waiting_rows + len(matrix) > self._limits.waiting_rows and self._waiting:
            raise _busy("Too many rows are waiting for this model.")
        self._waiting.append((matrix, waiting, time.monotonic() + self._limits.wait_seconds))
        self._waiting_rows += len(matrix)
        if not self._scheduled and not self._running:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)

    def close(self) -> None:
        """Lets the thread end once it has nothing to do."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    def _start(self) -> None:
        self._scheduled = False
        batch = self._take()
        if not batch:
            return
        rows = sum(len(matrix) for matrix, _, _ in batch)
        self.batched_rows += rows
        self._usual_rows += (rows / len(batch) - self._usual_rows) / 8
        self.batch_sizes[min((rows - 1).bit_length(), BATCH_SIZES)] += 1
        steady = self.model.steady and not self.on_thread
        if not steady or self._expected_seconds(rows) > self._limits.slow_seconds:
            self._start_on_thread(batch)
            return
        started = time.perf_counter()
        results = _score_all(self.model, [matrix for matrix, _, _ in batch])
        self._learn(rows, time.perf_counter() - started)
        self._finish(batch, results)

    def _expected_seconds(self, rows: int) -> float:
        return self._few_seconds if rows < _FEW_ROWS else self._row_seconds * rows

    def _learn(self, rows: int, seconds: float) -> None:
        # Half of what was known, half of what was seen: one hiccup is forgotten soon.
        if rows < _FEW_ROWS:
            self._few_seconds = (self._few_seconds + seconds) / 2
        else:
            self._row_seconds = (self._row_seconds + seconds / rows) / 2

    def _take(self) -> list[_Asked]:
        self._turn_away_late()
        rows, count = 0, 0
        for matrix, _, _ in self._waiting:
            if count and rows + len(matrix) > self._limits.batch_rows:
                break
            rows, count = rows + len(matrix), count + 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_rows -= rows
        # Whoever stopped waiting (a client that went away) is not computed.
        return [asked for asked in batch if not asked[1].done()]

    def _turn_away_late(self) -> None:
        now, late = time.monotonic(), 0
        for matrix, future, until in self._waiting:
            if until > now:
                break
            late += 1
            self._waiting_rows -= len(matrix)
            if not future.done():
                future.set_exception(_busy("The model is busy; the request waited too long."))
        del self._waiting[:late]

    def _start_on_thread(self, batch: list[_Asked]) -> None:
        if self._thread is None:
            self._thread = ModelThread(polite=self.on_thread)
        self._running = True
        matrices = [matrix for matrix, _, _ in batch]
        started = time.perf_counter()
        watch = asyncio.get_running_loop().call_later(
            self._limits.run_seconds, self._give_up, batch
        )

        def done(results: list[Scores | MainspringError]) -> None:
            watch.cancel()
            self._running = self._hung = False
            self._learn(sum(map(len, matrices)), time.perf_counter() - started)
            self._finish(batch, results)

        self._thread.run(lambda: _score_all(self.model, matrices), done)

    def _finish(self, batch: list[_Asked], results: list[Scores | MainspringError]) -> None:
        for (_, future, _), result in zip(batch, results, strict=True):
            failed = isinstance(result, MainspringError)
            self._failures = self._failures + 1 if failed else 0
            if future.done():
                continue
            if isinstance(result, MainspringError):
                future.set_exception(result)
            else:
                future.set_result(result)
        if self._failures >= self._limits.failures:
            self._failures = 0
            self._out_until = time.monotonic() + self._limits.rest_seconds
        if self._waiting and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)

    def _give_up(self, batch: list[_Asked]) -> None:
        # The thread cannot be stopped; its answer will find nobody waiting. Until then: out.
        self._hung = True
        for _, future, _ in batch:
            if not future.done():
                future.set_exception(
                    TimedOut(
                        "serving.timed_out",
                        "The model took too long.",
                        hint="Look at the version's latency, or send fewer rows at once.",
                    )
                )
        self._out_until = time.monotonic() + self._limits.rest_seconds
        waiting, self._waiting = self._waiting, []
        self._waiting_rows = 0
        for _, future, _ in waiting:
            if not future.done():
                future.set_exception(_out())


def _score_all(model: ServedModel, matrices: list[Array]) -> list[Scores | MainspringError]:
    if len(matrices) == 1:
        return [_score(model, matrices[0])]
    together = _score(model, np.concatenate(matrices))
    if isinstance(together, MainspringError):
        return [_score(model, matrix) for matrix in matrices]
    return _split(together, [len(matrix) for matrix in matrices])


def _split(scores: Scores, lengths: list[int]) -> list[Scores | MainspringError]:
    parts: list[Scores | MainspringError] = []
    start = 0
    for length in lengths:
        rows = slice(start, start + length)
        decision = None if scores.decision is None else scores.decision[rows]
        parts.append(Scores(scores.score[rows], decision))
        start += length
    return parts


def _score(model: ServedModel, matrix: Array) -> Scores | MainspringError:
    try:
        return model.score(matrix)
    except MainspringError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the edge to foreign model code, which may raise anything
        return Broken(
            "serving.prediction_failed",
            f"The model failed: {type(error).__name__}: {str(error)[:200]}.",
            hint="Compare the model's signature with the rows that were sent.",
        )


def _seen(future: asyncio.Future[Scores]) -> None:
    # A request that failed elsewhere no longer waits for this; its failure is not a bug to log.
    if not future.cancelled():
        future.exception()


def _busy(message: str) -> Unavailable:
    return Unavailable(
        "serving.busy",
        message,
        hint="Send the request again in a moment, or send fewer at once.",
    )


def _out() -> Unavailable:
    return Unavailable(
        "serving.variant_out",
        "The model is out of service after failures.",
        hint="It is tried again within a minute; or roll the endpoint back.",
    )
