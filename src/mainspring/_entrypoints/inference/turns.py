"""Heavy bodies take turns, so that reading them leaves the time to everybody else's requests.

Reading JSON and unpacking hold the event loop: a body of 64 MiB for some tenths of a second. What
such a body costs is known by its size; after one the next waits until light requests had ten times
as long. Where no light request comes nobody waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from mainspring.core.errors import Unavailable

HEAVY_BYTES: Final = 256 << 10
# JSON is read at 200 to 600 MB/s and unpacked at 200 on one core, tensors are made from it at
# less: the price is that of all together.
_BYTES_PER_SECOND: Final = 50e6
_PAY_BACK: Final = 10.0
_ALONE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.1
_MOST_WAITING: Final = 64
_WAIT_SECONDS: Final = 10.0


@dataclass(slots=True)
class Turn:
    """What is read in one turn: bytes of JSON, or what as many of them cost."""

    size_bytes: int = 0


class Turns:
    """Who reads a heavy body next. Used from one event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._free_at = 0.0
        self._light_at = 0.0

    def light(self) -> None:
        """Tells that a body was read without a turn."""
        self._light_at = time.monotonic()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """The block may read a heavy body, alone; it says what that cost.

        Errors: ``serving.busy``.
        """
        await self._wait()
        turn = Turn()
        try:
            yield turn
        finally:
            price_seconds = turn.size_bytes / _BYTES_PER_SECOND
            self._free_at = time.monotonic() + price_seconds * _PAY_BACK
            self._lock.release()

    async def _wait(self) -> None:
        if self._waiting >= _MOST_WAITING:
            raise _busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._lock.acquire()
                try:
                    await self._pay_back()
                except BaseException:
                    self._lock.release()
                    raise
        except TimeoutError as error:
            raise _busy() from error
        finally:
            self._waiting -= 1

    async def _pay_back(self) -> None:
        while (now := time.monotonic()) < self._free_at:
            if now - self._light_at > _ALONE_SECONDS:
                return
            await asyncio.sleep(min(self._free_at - now, _LOOK_SECONDS))


def _busy() -> Unavailable:
    return Unavailable(
        "serving.busy",
        "Too many large bodies are on their way.",
        hint="Send the request again in a moment, or fewer rows at once.",
    )
