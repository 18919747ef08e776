"""Answers that come when a future resolves, without a thread waiting for it."""

from __future__ import annotations

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
