"""The line before a busy model: in order, bounded in what refusals cost, forgotten by who left."""

from __future__ import annotations

import asyncio
import contextlib
import time

from mainspring._entrypoints.inference.admission import REFUSALS_PER_SECOND, WAIT_SECONDS, Line
from mainspring.core.errors import Unavailable


class Queue:
    """Requests that stand in a line, and what became of them."""

    def __init__(self, count: int) -> None:
        self.line = Line()
        self.came = time.monotonic()
        self.tasks = [asyncio.create_task(self._stand(n)) for n in range(count)]
        self.let_in: list[int] = []
        self.refused: list[int] = []
        self.gone: set[int] = set()

    async def _stand(self, number: int) -> None:
        try:
            await self.line.wait(lambda: number in self.gone)
            self.let_in.append(number)
        except Unavailable:
            self.refused.append(number)

    async def look(self, room: int, seconds: float) -> None:
        """One look so many seconds after they came."""
        await asyncio.sleep(0)
        self.line.let_in(room, self.came + seconds)
        for _ in range(3):
            await asyncio.sleep(0)

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def test_who_came_first_goes_in_first():
    """As many as there is room for, in order; the others wait on."""

    async def run() -> None:
        queue = Queue(10)
        await queue.look(0, 0.1)
        assert (queue.let_in, queue.refused) == ([], [])
        await queue.look(4, 0.2)
        assert queue.let_in == [0, 1, 2, 3]
        await queue.look(99, 0.3)
        assert queue.let_in == list(range(10))
        assert queue.line.is_empty
        await queue.leave()

    asyncio.run(run())


def test_refusing_has_a_rate():
    """A thousand who waited too long are refused one by one, and who is refused last waits longest."""

    async def run() -> None:
        queue, late = Queue(1000), WAIT_SECONDS + 1
        looks = 400
        for look in range(looks):
            await queue.look(0, late + look / 1000)
        expected = looks / 1000 * REFUSALS_PER_SECOND
        assert 0.7 * expected <= len(queue.refused) <= expected + 1
        assert queue.refused == sorted(queue.refused)
        await queue.leave()

    asyncio.run(run())


def test_room_is_given_before_anybody_is_refused():
    """Who waited long and is first in the line is answered, not refused, once there is room."""

    async def run() -> None:
        queue = Queue(5)
        await queue.look(2, WAIT_SECONDS + 1)
        assert queue.let_in == [0, 1]
        assert queue.refused == [2]
        await queue.leave()

    asyncio.run(run())


def test_who_hangs_up_takes_no_room():
    """A request whose client is gone is passed over, and its handler ends."""

    async def run() -> None:
        queue = Queue(6)
        await queue.look(0, 0.0)
        queue.gone = {0, 1, 4}
        await queue.look(2, 0.1)
        assert queue.let_in == [2, 3]
        assert [task.cancelled() for task in queue.tasks[:2]] == [True, True]
        await queue.look(9, 0.2)
        assert (queue.let_in, queue.refused) == ([2, 3, 5], [])
        await queue.leave()

    asyncio.run(run())


def test_who_was_cancelled_takes_no_room():
    """A handler that ended otherwise is passed over as well."""

    async def run() -> None:
        queue = Queue(4)
        await queue.look(0, 0.0)
        for task in queue.tasks[:2]:
            task.cancel()
        await queue.look(2, 0.1)
        assert queue.let_in == [2, 3]
        await queue.leave()

    asyncio.run(run())
