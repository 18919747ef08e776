"""Answers that come when a future resolves, without a thread waiting for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from mainspring._entrypoints._http.messages import Response

T = TypeVar("T")


def then(future: Future[T], answer: Callable[[T], Response]) -> Future[Response]:
    """The answer made of a future's result; its error stays an error."""
    made: Future[Response] = Future()

    def resolve(done: Future[T]) -> None:
        try:
            made.set_result(answer(done.result()))
        except BaseException as error:  # noqa: BLE001 - handed to the request that waits for it
            made.set_exception(error)

    future.add_done_callback(resolve)
    return made


def awaited(future: Future[T]) -> asyncio.Future[T]:
    """The future as one that a coroutine of the running loop awaits.

    What resolves it on the loop's own thread, as a commit of the loop does, wakes nobody.
    """
    loop, here = asyncio.get_running_loop(), threading.get_ident()
    waiting: asyncio.Future[T] = loop.create_future()

    def resolve(done: Future[T]) -> None:
        if threading.get_ident() == here:
            _settle(waiting, done)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_settle, waiting, done)

    future.add_done_callback(resolve)
    return waiting


def _settle(waiting: asyncio.Future[T], done: Future[T]) -> None:
    if waiting.done():  # whoever waited has left
        return
    error = done.exception()
    if error is None:
        waiting.set_result(done.result())
    else:
        waiting.set_exception(error)
