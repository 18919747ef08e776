"""The short way: most questions need no task, no future and no record of their own.

A question over REST in the Open Inference Protocol, to an endpoint whose one model answers for
everybody, goes from the parser into the model's lane, and from the lane's batch to the socket.
Whatever else there is (a split, a shadow, a policy, durable records, other wires and bodies) is
declined here and goes the ordinary way, which gives the same answers, byte for byte.
"""

from __future__ import annotations

import logging
import time
from typing import Final, NamedTuple

from mainspring._entrypoints._http.exchange import Exchange
from mainspring._entrypoints._http.messages import Response
from mainspring._entrypoints.inference import choosing, protocol
from mainspring._entrypoints.inference.admission import Admission
from mainspring._entrypoints.inference.answering import new_ids
from mainspring._entrypoints.inference.core import Core
from mainspring._entrypoints.inference.packing import Intake, pack
from mainspring._entrypoints.inference.refusing import refusal
from mainspring._entrypoints.inference.rows import RowReader
from mainspring._entrypoints.inference.turns import HEAVY_BYTES
from mainspring.core.errors import Broken, MainspringError
from mainspring.serving.live import Answer, LiveEndpoint, entity_keys
from mainspring.serving.model import Scores
from mainspring.serving.records import Answered

_BEFORE: Final = "/v2/models/"
_BEHIND: Final = "/infer"
_NEEDS_MORE: Final = frozenset({"content-encoding", choosing.VARIANT_HEADER})
_KINDS: Final = frozenset({None, "application/json", "application/octet-stream"})
log = logging.getLogger("mainspring.gateway")


class _Taken(NamedTuple):
    endpoint: LiveEndpoint
    headers: dict[str, str]
    started: float


class ShortWay:
    """Answers what is plain. Event loop only."""

    def __init__(self, core: Core, intake: Intake, admission: Admission) -> None:
        self._core = core
        self._intake = intake
        self._admission = admission
        self._readers: dict[str, RowReader] = {}  # by endpoint: as many as were ever deployed

    def take(self, exchange: Exchange) -> bool:
        """Whether the request is answered here, now or later; nothing happened when it is not."""
        scope, core = exchange.scope, self._core
        path = scope.path
        if scope.method != "POST" or not (path.startswith(_BEFORE) and path.endswith(_BEHIND)):
            return False
        endpoint = core.fleet.endpoints.get(path[len(_BEFORE) : -len(_BEHIND)])
        if endpoint is None or not endpoint.is_plain or core.telling.is_on:
            return False
        pairs = scope.headers.items()
        headers = dict(pairs)
        plain = len(headers) == len(pairs) and not (headers.keys() & _NEEDS_MORE)
        plain = plain and headers.get("content-type") in _KINDS
        if not plain or "arrow" in headers.get("accept", ""):
            return False
        if exchange.size_bytes > HEAVY_BYTES or not self._admission.is_open(endpoint):
            return False
        self._intake.light()
        return self._ask(exchange, _Taken(endpoint, headers, time.perf_counter()))

    def _ask(self, exchange: Exchange, taken: _Taken) -> bool:
        core, endpoint = self._core, taken.endpoint
        try:
            core.doors.check("POST", taken.headers, exchange.scope.authority)
            choosing.admit(core.doors, taken.headers)
            reader = self._reader(endpoint)
            asked = protocol.read_infer(exchange.body(), taken.headers, endpoint, None, reader)
            question = asked.question
            if question.durable or not question.rows:
                return False
            model = endpoint.champion.model
            matrix = model.encode(question.columns, question.rows)
            ticket = Ticket(self, exchange, taken, asked)
            core.fleet.lane(model).add(matrix, ticket, sole=True)
        except MainspringError as error:
            self.refuse(exchange, endpoint, error)
        else:
            core.metrics.under_way += 1
        return True

    def _reader(self, endpoint: LiveEndpoint) -> RowReader:
        order = endpoint.champion.model.order
        known = self._readers.get(endpoint.name)
        if known is None or known.order is not order:
            known = self._readers[endpoint.name] = RowReader(order)
        return known

    def refuse(self, exchange: Exchange, endpoint: LiveEndpoint, error: MainspringError) -> None:
        """Answers with an error."""
        self._core.metrics.error(endpoint.name, error.kind)
        self.send(exchange, refusal(exchange.scope.path, error))

    def send(self, exchange: Exchange, response: Response) -> None:
        """Answers."""
        self._core.metrics.status(response.status)
        assert isinstance(response.body, bytes)  # noqa: S101 - told to the type checker
        exchange.response_bytes(response.status, response.headers, response.body)
        exchange.finish()

    def answer(self, ticket: Ticket, scores: Scores) -> Response:
        """The answer, recorded and counted."""
        endpoint, asked = ticket.taken.endpoint, ticket.asked
        question, live = asked.question, endpoint.champion
        ids = question.ids if question.ids is not None else new_ids(question.rows)
        seconds = time.perf_counter() - ticket.taken.started
        given = question.ids is not None
        self._core.answering.record(
            Answered(
                layout=live.layout,
                ids=ids,
                ids_given=given,
                entities=entity_keys(endpoint, question, ids),
                event_times=question.event_times,
                received_micros=ticket.received_micros,
                latency_micros=int(seconds * 1e6),
                score=scores.score,
                decision=scores.decision,
                inputs=question.columns,
            )
        )
        self._core.metrics.answered(endpoint.name, live.variant, question.rows, seconds)
        answer = Answer(ids, given, scores.score, scores.decision, (live.variant,), None)
        return pack(protocol.write_infer(endpoint, asked, answer), ticket.taken.headers)

    def left(self) -> None:
        """Counts a question that is answered."""
        self._core.metrics.under_way -= 1


class Ticket:
    """A question in a lane; in the place of a future, and settled once like one."""

    __slots__ = (
        "_settled",
        "_way",
        "asked",
        "exchange",
        "received_micros",
        "taken",
    )

    def __init__(
        self, way: ShortWay, exchange: Exchange, taken: _Taken, asked: protocol.Asked
    ) -> None:
        self._way = way
        self._settled = False
        self.exchange = exchange
        self.taken = taken
        self.asked = asked
        self.received_micros = time.time_ns() // 1000

    def done(self) -> bool:
        """Whether it is settled."""
        return self._settled

    def set_result(self, scores: Scores) -> None:
        """Answers with the scores."""
        try:
            response = self._way.answer(self, scores)
        except MainspringError as error:
            self.set_exception(error)
        except Exception:  # the process edge: one answer that cannot be written is no batch's end
            log.exception("unexpected error in %s", self.exchange.scope.path[:200])
            self.set_exception(Broken("http.bug", "The gateway made a mistake."))
        else:
            self._settle()
            self._way.send(self.exchange, response)

    def set_exception(self, error: MainspringError) -> None:
        """Answers with the error."""
        self._settle()
        self._way.refuse(self.exchange, self.taken.endpoint, error)

    def _settle(self) -> None:
        self._settled = True
        self._way.left()
