"""Work that a thread commits itself, at the end of its turn, instead of handing it to the writer.

An event loop spends more on waking another thread, and on being woken with the answer, than on a
small commit. So it gathers what the requests of one turn ask for and commits that together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mainspring.ports.database import Transaction

CallSoon = Callable[[Callable[[], None]], object]
# A slow disk must not keep the thread from its other work: after a commit of longer than this the
# writer has all for twenty times as long, so that at most a twentieth of the time is lost.
SLOW_SECONDS: Final = 0.05
_REST_FACTOR: Final = 20
_MOST_REST_SECONDS: Final = 60.0


class Work:
    """A piece of work on its way through the writer, and what came of it."""

    __slots__ = ("error", "future", "result", "run")

    def __init__(
        self, run: Callable[[Transaction], Any] | None, future: Future[Any] | None = None
    ) -> None:
        self.run = run  # None asks the writer to recover
        self.future: Future[Any] = Future() if future is None else future
        self.result: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Desk:
    """The work that one thread gathered; ``settle`` commits it, or hands it to the writer.

    Concurrency: ``is_here`` may be asked by any thread, the rest belongs to the one that made it.
    """

    def __init__(self, call_soon: CallSoon, settle: Callable[[list[Work]], None]) -> None:
        self._thread = threading.get_ident()
        self._call_soon = call_soon
        self._settle = settle
        self._gathered: list[Work] = []
        self._rests_until = 0.0

    def is_here(self) -> bool:
        """Whether the calling thread is the desk's."""
        return threading.get_ident() == self._thread

    def takes(self) -> bool:
        """Whether work of the calling thread is gathered here."""
        return self.is_here() and time.monotonic() >= self._rests_until

    def take(self, run: Callable[[Transaction], Any]) -> Future[Any]:
        """The future of a piece of work."""
        item = Work(run, _Gathered(self))
        if not self._gathered:
            self._call_soon(self.see_to)
        self._gathered.append(item)
        return item.future

    def see_to(self) -> None:
        """Settles what was gathered."""
        group, self._gathered = self._gathered, []
        if not group:
            return
        began = time.monotonic()
        self._settle(group)
        ended = time.monotonic()
        if ended - began > SLOW_SECONDS:
            rest = min(_REST_FACTOR * (ended - began), _MOST_REST_SECONDS)
            self._rests_until = ended + rest


class _Gathered(Future[Any]):
    """A future whose own thread may wait for it: it does the work first."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def result(self, timeout: float | None = None) -> Any:
        self._hurry()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._hurry()
        return super().exception(timeout)

    def _hurry(self) -> None:
        if not self.done() and self._desk.is_here():
            self._desk.see_to()
