"""One thread that writes for all: what waits together is committed together.

While one group waits for the disk the next gathers, so throughput grows with the number of waiters
and a lone caller pays for one commit.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from mainspring.core.errors import Broken, Conflict, Invalid, Unavailable
from mainspring.ports.database import Transaction

_CONTROL: Final = (
    *("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOIN", "RELEASE"),
    *("ATTACH", "DETACH"),
)
GROUP: Final = 512  # most pieces of work in one commit


class Work:
    """A piece of work on its way through the writer, and what came of it."""

    __slots__ = ("error", "future", "result", "run")

    def __init__(self, run: Callable[[Transaction], Any] | None) -> None:
        self.run = run  # None asks the writer to recover
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class GroupWriter:
    """Work in the order of arrival, in groups, on a thread of its own.

    ``commit`` runs a group as one transaction and leaves each piece's result or error in it.
    ``recover`` makes the database fit to write again, or says why it is not. Both run on the
    writer's thread only.
    """

    def __init__(
        self, commit: Callable[[list[Work]], None], recover: Callable[[], Broken | None]
    ) -> None:
        self._commit = commit
        self._recover = recover
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._accepting = threading.Lock()  # so that nothing is queued behind the last
        self.closed = False
        self._thread = threading.Thread(target=self._serve, name="mainspring-writer", daemon=True)
        self._thread.start()

    def submit(self, run: Callable[[Transaction], Any] | None) -> Future[Any]:
        """The future of a piece of work; None asks to recover.

        Errors: ``database.unavailable`` once closed.
        """
        item = Work(run)
        with self._accepting:
            if self.closed:
                raise closed()
            self._waiting.put(item)
        return item.future

    def call(self, run: Callable[[Transaction], Any]) -> Any:
        """The result of a piece of work, waited for.

        Errors: ``database.nested`` on the writer's own thread, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            raise Conflict(
                "database.nested",
                "A piece of work on the database waits for another one.",
                hint="Use the transaction that the work was given.",
            )
        return self.submit(run).result()

    def close(self) -> bool:
        """Finishes what was accepted; False when it was closed before."""
        with self._accepting:
            if self.closed:
                return False
            self.closed = True
            self._waiting.put(None)
        self._thread.join()
        return True

    def _serve(self) -> None:
        while True:
            group, last = self._gather()
            # A future that was cancelled while it waited asks for nothing any more.
            group = [item for item in group if item.future.set_running_or_notify_cancel()]
            try:
                self._serve_group(group)
            except BaseException as error:  # noqa: BLE001 - the writer's edge: callers must not wait for ever
                broken = Broken("database.broken", f"The writer failed ({error!r}).")
                for item in group:
                    item.error = broken
            for item in group:
                item.answer()
            if last:
                return

    def _gather(self) -> tuple[list[Work], bool]:
        """Waits for the first piece of work, then takes what else has arrived; whether it ends."""
        item = self._waiting.get()
        group: list[Work] = []
        while item is not None:
            group.append(item)
            if len(group) == GROUP:
                return group, False
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _serve_group(self, group: list[Work]) -> None:
        """Commits what stands between two wishes to recover together."""
        together: list[Work] = []
        for item in group:
            if item.run is not None:
                together.append(item)
                continue
            if together:
                self._commit(together)
            together = []
            item.error = self._recover()
        if together:
            self._commit(together)


def check_statement(sql: str) -> None:
    """Returns unless a statement would begin or end the transaction it runs in.

    Errors: ``database.bad_statement``.
    """
    if sql.lstrip()[:8].upper().startswith(_CONTROL):
        raise Invalid(
            "database.bad_statement",
            f"{sql.lstrip()[:8]!r} would end the transaction of others.",
            hint="The writer alone begins and ends transactions.",
        )


def closed() -> Unavailable:
    """The refusal of everything after closing."""
    return Unavailable(
        "database.unavailable", "The database is closed.", hint="Open the workspace again."
    )
