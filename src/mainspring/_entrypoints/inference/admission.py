"""A line before an endpoint whose model has enough to do: nobody's body is read to be refused.

Refusing after the body was read and its rows were made costs as much as a cheap model's answer, so
an overloaded gateway would spend its time on refusals. Here requests wait, unread and in their
order, until the model's lane has room, for a bounded time and in bounded number.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

from mainspring._entrypoints.inference.fleet import Fleet
from mainspring.core.errors import Unavailable
from mainspring.serving.live import LiveEndpoint

MOST_WAITING: Final = 4096
WAIT_SECONDS: Final = 5.0
# Room is looked for this often while anybody waits, and so many are let in at a look: their rows
# are counted only once their bodies are read.
_LOOK_SECONDS: Final = 0.001
_AT_ONCE: Final = 8


class Admission:
    """The lines of all endpoints. Used from one event loop."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lines: dict[str, _Line] = {}

    async def enter(self, endpoint: str) -> None:
        """Returns when the endpoint's model has room. Errors: ``serving.busy``."""
        line = self._lines.get(endpoint)
        if line is None and not self._is_filled(endpoint):
            return
        if line is None:
            line = self._lines[endpoint] = _Line()
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, endpoint, line)
        await line.wait()

    def is_open(self, endpoint: LiveEndpoint) -> bool:
        """Whether nobody waits in the endpoint's line, and nobody would."""
        if endpoint.name in self._lines:
            return False
        return not self._fleet.lane(endpoint.champion.model).is_filled

    def _is_filled(self, endpoint: str) -> bool:
        live = self._fleet.endpoints.get(endpoint)
        return live is not None and self._fleet.lane(live.champion.model).is_filled

    def _look(self, endpoint: str, line: _Line) -> None:
        line.let_in(0 if self._is_filled(endpoint) else _AT_ONCE)
        if line.is_empty:
            del self._lines[endpoint]
        else:
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, endpoint, line)


class _Line:
    def __init__(self) -> None:
        self._waiting: deque[tuple[asyncio.Future[bool], float]] = deque()

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    async def wait(self) -> None:
        if len(self._waiting) >= MOST_WAITING:
            raise _busy()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, time.monotonic() + WAIT_SECONDS))
        if not await future:
            raise _busy()

    def let_in(self, count: int) -> None:
        """Lets the first ones in, and turns away who waited too long; who left is forgotten."""
        now = time.monotonic()
        while self._waiting:
            future, until = self._waiting[0]
            if not future.done() and until > now and not count:
                return
            self._waiting.popleft()
            if not future.done():
                future.set_result(until > now)
                count -= until > now


def _busy() -> Unavailable:
    return Unavailable(
        "serving.busy",
        "Too many requests are waiting for this model.",
        hint="Send the request again in a moment, or send fewer at once.",
    )
