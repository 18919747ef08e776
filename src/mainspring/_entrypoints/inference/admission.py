"""A line before an endpoint whose model has enough to do: nobody's body is read to be refused.

Refusing after the body was read and its rows were made costs as much as a cheap model's answer, so
an overloaded gateway would spend its time on refusals. Here requests wait, unread and in their
order, until the model's lane has room. Who waited long is refused, but so many a second as cost
little: whoever asks again at once, as if nothing had been said, waits once more instead of making
everybody else wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.lanes import Lane
from mainspring.core.errors import Unavailable
from mainspring.serving.live import LiveEndpoint

# As many as there can be connections: one of HTTP/1.1 has one request under way.
MOST_WAITING: Final = 16_384
WAIT_SECONDS: Final = 5.0
# A refusal costs a tenth of a millisecond: so many are a twentieth of the time.
REFUSALS_PER_SECOND: Final = 500.0
_LOOK_SECONDS: Final = 0.001
_AT_ONCE: Final = 64


class Admission:
    """The lines of all endpoints. Used from one event loop."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lines: dict[str, Line] = {}

    async def enter(self, endpoint: str, incoming: Any) -> None:
        """Returns when the endpoint's model has room. Errors: ``serving.busy``.

        Who leaves the line, as far as the server of ``incoming`` can tell, is cancelled.
        """
        line = self._lines.get(endpoint)
        if line is None and self._room(endpoint):
            return
        if line is None:
            line = self._lines[endpoint] = Line()
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, endpoint, line)
        await line.wait(getattr(incoming, "is_gone", _stays))

    def is_open(self, endpoint: LiveEndpoint) -> bool:
        """Whether nobody waits in the endpoint's line, and nobody would."""
        return endpoint.name not in self._lines and self._lane(endpoint).room > 0

    def _lane(self, endpoint: LiveEndpoint) -> Lane:
        return self._fleet.lane(endpoint.champion.model)

    def _room(self, endpoint: str) -> int:
        live = self._fleet.endpoints.get(endpoint)
        # Without an endpoint whoever comes in is told so.
        return _AT_ONCE if live is None else min(_AT_ONCE, self._lane(live).room)

    def _look(self, endpoint: str, line: Line) -> None:
        line.let_in(self._room(endpoint), time.monotonic())
        if line.is_empty:
            del self._lines[endpoint]
        else:
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, endpoint, line)


class Line:
    """Who waits for one endpoint, in the order they came."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._refused_at = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self._waiting

    async def wait(self, is_gone: Callable[[], bool]) -> None:
        """Returns when it is one's turn. Errors: ``serving.busy``."""
        if len(self._waiting) >= MOST_WAITING:
            raise _busy()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(future, time.monotonic() + WAIT_SECONDS, is_gone))
        if not await future:
            raise _busy()

    def let_in(self, count: int, now: float) -> None:
        """Lets the first so many in, however long they waited, then refuses some who waited long.

        Who left meanwhile is passed over.
        """
        while self._waiting:
            future, until, is_gone = self._waiting[0]
            if is_gone():
                future.cancel()
            if not future.done():
                if not (count or self._may_refuse(until, now)):
                    return
                future.set_result(count > 0)
                count -= count > 0
            self._waiting.popleft()

    def _may_refuse(self, until: float, now: float) -> bool:
        if until > now or now < self._refused_at + 1 / REFUSALS_PER_SECOND:
            return False
        self._refused_at = now
        return True


class _Waiting(NamedTuple):
    future: asyncio.Future[bool]
    until: float
    is_gone: Callable[[], bool]


def _stays() -> bool:
    return False


def _busy() -> Unavailable:
    return Unavailable(
        "serving.busy",
        "Too many requests are waiting for this model.",
        hint="Send the request again in a moment, or send fewer at once.",
    )
