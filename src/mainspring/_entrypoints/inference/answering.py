"""From a question to its answer, and to its prediction records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainspring._entrypoints.inference.describing import decides
from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.metrics import Metrics
from mainspring._entrypoints.inference.shadowing import Copy, Shadowing
from mainspring.core.errors import Broken, TimedOut, Unavailable
from mainspring.core.ids import new_id
from mainspring.serving.capacity import SharedHands
from mainspring.serving.live import (
    Answer,
    Group,
    LiveEndpoint,
    LiveVariant,
    Question,
    divide,
    entity_keys,
    join,
    take,
)
from mainspring.serving.model import Scores
from mainspring.serving.policy import Capacity, Hands, Policy, decide, wanted_column
from mainspring.serving.recorder import Recorder
from mainspring.serving.records import Answered, Outcomes

# A variant that fails this way is replaced by the champion for the request; a request that is
# itself wrong (Invalid) fails with every variant, so it is not tried again.
_VARIANT_FAILED: Final = (Broken, Unavailable, TimedOut)
_REPLACEABLE: Final = frozenset({"canary", "arm", "group"})


class Answering:
    """Answers questions on the event loop; every answer leaves prediction records."""

    def __init__(
        self, fleet: Fleet, recorder: Recorder, metrics: Metrics, *, capacity: Path | None = None
    ) -> None:
        self._fleet = fleet
        self._recorder = recorder
        self._metrics = metrics
        self._capacity = capacity
        self._hands: dict[tuple[str, int], Hands] = {}
        self._shadowing = Shadowing(fleet, recorder, metrics)

    async def answer(self, endpoint: LiveEndpoint, question: Question) -> Answer:
        """One score per row. Errors: those of the lanes; ``serving.records_not_stored``."""
        received_micros, started = time.time_ns() // 1000, time.perf_counter()
        if question.rows == 0:
            champion = endpoint.champion
            # No rows are no reason for another form of answer: decisions on none of them.
            decision = np.empty(0, dtype=np.bool_) if decides(champion.model) else None
            return Answer((), False, np.empty(0), decision, (champion.variant,), None)
        ids = question.ids if question.ids is not None else new_ids(question.rows)
        entities = entity_keys(endpoint, question, ids)
        groups = divide(endpoint, question, entities)
        watching = [] if question.variant or question.version else endpoint.watching
        references = [v for v in watching if v.variant.role == "reference"]
        groups, scores, copies = await self._score(endpoint, question, groups, references)
        taken = _Taken(question, ids, entities, received_micros, started)
        scores = [
            self._decided(g, s, taken, endpoint.name) for g, s in zip(groups, scores, strict=True)
        ]
        answer = join(question, ids, groups, scores)
        records = [taken.record(g.by, g.rows, s) for g, s in zip(groups, scores, strict=True)]
        records += [
            taken.record(live, None, self._decided(Group(live, None), copy, taken, None))
            for live, copy in copies
        ]
        await self._keep(records, durable=question.durable)
        for live in watching:
            if live.variant.role == "shadow":
                self._shadowing.copy(live, taken.copy())
        self._count(endpoint, records, taken)
        return answer

    async def _score(
        self,
        endpoint: LiveEndpoint,
        question: Question,
        groups: list[Group],
        references: Sequence[LiveVariant],
    ) -> tuple[list[Group], list[Scores], list[tuple[LiveVariant, Scores]]]:
        # References are submitted with the rest, and awaited last: they share the loop's turn.
        pending = [self._submit(group, question) for group in groups]
        copies = [(live, self._submit(Group(live, None), question)) for live in references]
        scores: list[Scores] = []
        for place, (group, future) in enumerate(zip(groups, pending, strict=True)):
            try:
                scores.append(await future)
            except _VARIANT_FAILED:
                if group.by.variant.role not in _REPLACEABLE:
                    raise
                self._metrics.fallback(endpoint.name, group.by.variant)
                groups[place] = Group(endpoint.champion, group.rows)
                scores.append(await self._submit(groups[place], question))
        return groups, scores, await self._copies(endpoint, copies)

    def _decided(self, group: Group, scores: Scores, taken: _Taken, acts: str | None) -> Scores:
        """The scores with the decisions of the model's policy; ``acts``: whose capacity counts."""
        policy = group.by.model.policy
        if policy is None:
            return scores
        hands = None if acts is None else self._hands_of(acts, policy)
        columns = taken.question.columns
        wanted = wanted_column(policy)
        if acts is None and wanted is not None and wanted not in columns:
            return scores
        some = {} if wanted not in columns else take(columns, (str(wanted),), group.rows)
        times = taken.times if group.rows is None else taken.times[group.rows]
        return Scores(scores.score, decide(policy, scores.score, some, times, hands))

    def _hands_of(self, endpoint: str, policy: Policy) -> Hands | None:
        """What counts the capacity of an endpoint: a file that its processes share, if there is one."""
        if not isinstance(policy, Capacity):
            return None
        key = (endpoint, policy.window_micros)
        if key not in self._hands:
            self._hands[key] = SharedHands(self._capacity, *key) if self._capacity else Hands()
        return self._hands[key]

    async def _copies(
        self, endpoint: LiveEndpoint, pending: list[tuple[LiveVariant, asyncio.Future[Scores]]]
    ) -> list[tuple[LiveVariant, Scores]]:
        copies = []
        for live, future in pending:
            try:
                copies.append((live, await future))
            except _VARIANT_FAILED:  # a reference is only recorded: the answer does not need it
                self._metrics.dropped(endpoint.name, live.variant, 1)
        return copies

    def _submit(self, group: Group, question: Question) -> asyncio.Future[Scores]:
        model = group.by.model
        columns = take(question.columns, model.names, group.rows)
        rows = question.rows if group.rows is None else len(group.rows)
        try:
            lane, sole = self._fleet.lane(model), group.by.variant.role == "champion"
            return lane.submit(model.encode(columns, rows), sole=sole)
        except Unavailable as error:
            failed: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
            failed.set_exception(error)
            return failed

    def record(self, record: Answered) -> None:
        """Leaves a record beside the answer."""
        self._recorder.append(record)

    async def report(self, outcomes: Sequence[Outcomes]) -> None:
        """The outcomes are on disk when this returns. Errors: ``serving.records_not_stored``."""
        await self._keep(outcomes, durable=True)

    async def _keep(self, records: Sequence[Answered | Outcomes], *, durable: bool) -> None:
        if not durable:
            for record in records:
                self._recorder.append(record)
            return
        loop = asyncio.get_running_loop()
        stored: list[asyncio.Future[None]] = []
        for record in records:
            future: asyncio.Future[None] = loop.create_future()
            stored.append(future)

            def when_stored(
                error: Unavailable | None, future: asyncio.Future[None] = future
            ) -> None:
                loop.call_soon_threadsafe(_settle, future, error)

            if not self._recorder.append(record, when_stored):
                raise Unavailable(
                    "serving.records_not_stored",
                    "Too many prediction records are waiting to be stored.",
                    hint="Send the request again in a moment.",
                )
        for future in stored:
            await future

    def _count(self, endpoint: LiveEndpoint, records: list[Answered], taken: _Taken) -> None:
        seconds = taken.seconds()
        for record in records:
            layout = record.layout
            self._metrics.answered_by(
                (endpoint.name, layout.variant, layout.version), len(record.ids), seconds
            )


class _Taken:
    """A question with what is known about it once it is taken in."""

    def __init__(
        self,
        question: Question,
        ids: Sequence[str],
        entities: Sequence[str],
        received_micros: int,
        started: float,
    ) -> None:
        self.question = question
        self._ids = ids
        self._entities = entities
        self._received_micros = received_micros
        self._started = started

    @property
    def times(self) -> NDArray[np.int64]:
        given = self.question.event_times
        if given is not None:
            return given
        return np.full(self.question.rows, self._received_micros, dtype=np.int64)

    def copy(self) -> Copy:
        """What a shadow is given of it."""
        return Copy(
            self.question,
            self._ids,
            self._entities,
            self.times,
            self._received_micros,
            self._started,
        )

    def seconds(self) -> float:
        return time.perf_counter() - self._started

    def _given_times(self, rows: NDArray[np.intp] | None) -> NDArray[np.int64] | None:
        times = self.question.event_times
        return times if times is None or rows is None else times[rows]

    def record(self, live: LiveVariant, rows: NDArray[np.intp] | None, scores: Scores) -> Answered:
        layout = live.layout
        names = (*layout.numbers, *layout.texts)
        return Answered(
            layout=layout,
            ids=_some(self._ids, rows),
            ids_given=self.question.ids is not None,
            entities=_some(self._entities, rows),
            event_times=self._given_times(rows),
            received_micros=self._received_micros,
            latency_micros=int(self.seconds() * 1e6),
            score=scores.score,
            decision=scores.decision,
            inputs=take(self.question.columns, names, rows),
        )


def _some(values: Sequence[str], rows: NDArray[np.intp] | None) -> Sequence[str]:
    return values if rows is None else [values[row] for row in rows.tolist()]


def new_ids(rows: int) -> list[str]:
    """Fresh prediction ids for the rows of one request."""
    base = new_id()
    return [base] if rows == 1 else [f"{base}-{row}" for row in range(rows)]


def _settle(future: asyncio.Future[None], error: Unavailable | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
