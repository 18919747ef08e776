"""Copies for shadows: gathered beside the answers, handed over together a few times a second.

For the request a copy costs an append to a list. What it costs besides (encoding, a turn of the
shadow's thread, its record) is paid for all that gathered at once, and may take half a percent of
the time together: fewer than one request in a hundred meets it, so the 99th percentile of the
answers stays where it is. What that does not suffice for is dropped, and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.metrics import Metrics
from mainspring.core.errors import Broken, TimedOut, Unavailable
from mainspring.serving.live import LiveVariant, Question
from mainspring.serving.model import Scores
from mainspring.serving.recorder import Recorder
from mainspring.serving.records import Answered

# A shadow that has this many rows waiting gets no more: it must never slow the primary.
WAITING_ROWS: Final = 4096
_GATHER_SECONDS: Final = 0.25
_SHARE: Final = 0.005
_BUDGET_SECONDS: Final = _SHARE * _GATHER_SECONDS
_FIRST_GUESS_SECONDS: Final = 5e-6


@dataclass(frozen=True, slots=True)
class Copy:
    """A question as it was taken in: its ids, its entities, when it came."""

    question: Question
    ids: Sequence[str]
    entities: Sequence[str]
    event_times: NDArray[np.int64]
    received_micros: int
    started: float


@dataclass(slots=True)
class _Gathered:
    live: LiveVariant
    copies: list[Copy] = field(default_factory=list)
    rows: int = 0


class Shadowing:
    """Sends copies to shadows and records their answers. Used from one event loop."""

    def __init__(self, fleet: Fleet, recorder: Recorder, metrics: Metrics) -> None:
        self._fleet = fleet
        self._recorder = recorder
        self._metrics = metrics
        self._gathered: dict[tuple[str, str, str], _Gathered] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._copy_seconds = _FIRST_GUESS_SECONDS

    def copy(self, live: LiveVariant, copy: Copy) -> None:
        """Takes a copy, or drops and counts it when the shadow has enough to do."""
        layout, rows = live.layout, copy.question.rows
        key = (layout.endpoint, layout.variant, live.model.digest)
        gathered = self._gathered.get(key)
        lane = self._fleet.shadow_lane(live.model)
        waiting = lane.waiting_rows + (0 if gathered is None else gathered.rows)
        columns = copy.question.columns
        full = waiting + rows > WAITING_ROWS or (
            gathered is not None and len(gathered.copies) * self._copy_seconds >= _BUDGET_SECONDS
        )
        if full or lane.is_out(sole=False) or any(name not in columns for name in live.model.names):
            self._metrics.dropped(layout.endpoint, live.variant, rows)
            return
        if gathered is None:
            gathered = self._gathered[key] = _Gathered(live)
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._send, key)
        gathered.copies.append(copy)
        gathered.rows += rows

    def _send(self, key: tuple[str, str, str]) -> None:
        task = asyncio.get_running_loop().create_task(self._run(self._gathered.pop(key)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, gathered: _Gathered) -> None:
        live, copies, began = gathered.live, gathered.copies, time.perf_counter()
        names = {*live.model.names, *live.layout.numbers, *live.layout.texts}
        columns = {
            name: np.concatenate([copy.question.columns[name] for copy in copies]) for name in names
        }
        try:
            matrix = live.model.encode(columns, gathered.rows)
            waiting = self._fleet.shadow_lane(live.model).submit(matrix)
            spent = time.perf_counter() - began
            scores = await waiting
        except (Broken, Unavailable, TimedOut, ValueError):
            self._metrics.dropped(live.layout.endpoint, live.variant, gathered.rows)
            return
        began = time.perf_counter()
        self._record(gathered, columns, scores)
        spent += time.perf_counter() - began
        # Half of what was known, half of what was seen.
        self._copy_seconds = (self._copy_seconds + spent / len(copies)) / 2

    def _record(
        self, gathered: _Gathered, columns: dict[str, NDArray[Any]], scores: Scores
    ) -> None:
        start, layout = 0, gathered.live.layout
        for copies in _alike(gathered.copies):
            rows = slice(start, start + sum(copy.question.rows for copy in copies))
            start = rows.stop
            seconds = time.perf_counter() - copies[0].started
            self._recorder.append(
                Answered(
                    layout=layout,
                    ids=[name for copy in copies for name in copy.ids],
                    ids_given=copies[0].question.ids is not None,
                    entities=[name for copy in copies for name in copy.entities],
                    event_times=np.concatenate([copy.event_times for copy in copies]),
                    # Of the first of those that were answered together.
                    received_micros=copies[0].received_micros,
                    latency_micros=int(seconds * 1e6),
                    score=scores.score[rows],
                    decision=None if scores.decision is None else scores.decision[rows],
                    inputs={name: columns[name][rows] for name in (*layout.numbers, *layout.texts)},
                )
            )
            for copy in copies:
                self._metrics.answered(
                    layout.endpoint, gathered.live.variant, copy.question.rows, seconds
                )


def _alike(copies: list[Copy]) -> list[list[Copy]]:
    """Neighbours whose ids all were given, or all were made."""
    groups: list[list[Copy]] = []
    for copy in copies:
        if groups and (groups[-1][0].question.ids is None) is (copy.question.ids is None):
            groups[-1].append(copy)
        else:
            groups.append([copy])
    return groups
