"""Futures of other threads, and of the loop's own, as a coroutine awaits them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from mainspring._entrypoints._http.futures import awaited, then
from mainspring._entrypoints._http.messages import Response


def _elsewhere(act):
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def test_a_result_is_awaited_wherever_it_comes_from():
    """A future resolved by another thread, by the loop's own, or before, gives its result."""

    async def main():
        futures: list[Future[int]] = [Future() for _ in range(3)]
        futures[0].set_result(0)
        waiting = [awaited(future) for future in futures]
        futures[1].set_result(1)
        assert [one.done() for one in waiting] == [True, True, False]
        _elsewhere(lambda: futures[2].set_result(2))
        return await asyncio.wait_for(asyncio.gather(*waiting), 30)

    assert asyncio.run(main()) == [0, 1, 2]


def test_an_error_is_raised_where_it_is_awaited():
    """What went wrong, also in making the answer, reaches the coroutine."""

    async def main():
        future: Future[int] = Future()
        answer = awaited(then(future, lambda number: Response(200 // number, [])))
        _elsewhere(lambda: future.set_result(0))
        await asyncio.wait_for(answer, 30)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())


def test_nobody_is_told_twice():
    """A coroutine that left before the result came is not disturbed by it."""

    async def main():
        future: Future[int] = Future()
        waiting = awaited(future)
        waiting.cancel()
        future.set_result(1)
        await asyncio.sleep(0)
        return waiting.cancelled()

    assert asyncio.run(main())
