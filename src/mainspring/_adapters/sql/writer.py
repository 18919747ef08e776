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

from mainspring._adapters.sql.desk import CallSoon, Desk, Work
from mainspring.core.errors import Broken, Conflict, Invalid, Unavailable
from mainspring.ports.database import Transaction

_CONTROL: Final = (
    *("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOIN", "RELEASE"),
    *("ATTACH", "DETACH"),
)
GROUP: Final = 512  # most pieces of work in one commit
__all__ = ["GROUP", "CallSoon", "GroupWriter", "Work", "check_statement", "closed"]


class GroupWriter:
    """Work in the order of arrival, in groups, on a thread of its own.

    ``commit`` runs a group as one transaction and leaves each piece's result or error in it.
    ``recover`` makes the database fit to write again, or says why it is not. Both run on one
    thread at a time: the writer's, or, with ``commit_now``, the one at the desk. That one commits
    a group unless it would have to wait for others; then it returns False and has done nothing.
    """

    def __init__(
        self,
        commit: Callable[[list[Work]], None],
        recover: Callable[[], Broken | None],
        commit_now: Callable[[list[Work]], bool] | None = None,
    ) -> None:
        self._commit = commit
        self._recover = recover
        self._commit_now = commit_now
        self._desk: Desk | None = None
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._unanswered = 0  # what the writer's thread was given and has not answered
        self._accepting = threading.Lock()  # so that nothing is queued behind the last
        self._committing = threading.Lock()
        self._committer: int | None = None  # the thread that commits now
        self.closed = False
        self._thread = threading.Thread(target=self._serve, name="mainspring-writer", daemon=True)
        self._thread.start()

    def attend(self, call_soon: CallSoon | None) -> None:
        """The calling thread commits what it submits by itself, from now on or (None) no more.

        It does so in what it gives to ``call_soon``, unless the writer is at work.
        """
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.see_to()
        if call_soon is not None and self._commit_now is not None:
            self._desk = Desk(call_soon, self._settle)

    def submit(self, run: Callable[[Transaction], Any] | None) -> Future[Any]:
        """The future of a piece of work; None asks to recover.

        Errors: ``database.unavailable`` once closed.
        """
        desk = self._desk
        if run is not None and desk is not None and desk.takes():
            if self.closed:
                raise closed()
            return desk.take(run)
        item = Work(run)
        self._hand_over([item])
        return item.future

    def call(self, run: Callable[[Transaction], Any]) -> Any:
        """The result of a piece of work, waited for.

        Errors: ``database.nested`` from inside a piece of work, which would wait for itself.
        """
        if self._committer == threading.get_ident():
            raise Conflict(
                "database.nested",
                "A piece of work on the database waits for another one.",
                hint="Use the transaction that the work was given.",
            )
        return self.submit(run).result()

    def close(self) -> bool:
        """Finishes what was accepted; False when it was closed before."""
        desk = self._desk
        if desk is not None and desk.is_here():
            desk.see_to()
        with self._accepting:
            if self.closed:
                return False
            self.closed = True
            self._waiting.put(None)
        self._thread.join()
        return True

    # -- the desk -----------------------------------------------------------------------------

    def _settle(self, group: list[Work]) -> None:
        """Commits what the desk gathered, or hands it over when others came first."""
        try:
            if not self._settled(group):
                self._hand_over(group)
        except Unavailable as error:
            for item in _wanted(group):
                item.error = error
                item.answer()

    def _settled(self, group: list[Work]) -> bool:
        with self._accepting:
            if self._unanswered or self.closed or len(group) > GROUP:
                return False
            # Nobody else holds it: whoever waits for the writer is counted before it begins.
            self._committing.acquire()
        try:
            self._committer = threading.get_ident()
            group[:] = _wanted(group)
            if self._commit_now is None or not self._commit_now(group):
                return False
        except BaseException as error:  # noqa: BLE001 - the writer's edge: callers must not wait for ever
            _fail(group, error)
        finally:
            self._committer = None
            self._committing.release()
        for item in group:
            item.answer()
        return True

    # -- the writer's thread ------------------------------------------------------------------

    def _hand_over(self, group: list[Work]) -> None:
        with self._accepting:
            if self.closed:
                raise closed()
            self._unanswered += len(group)
            for item in group:
                self._waiting.put(item)

    def _serve(self) -> None:
        while True:
            gathered, last = self._gather()
            group = _wanted(gathered)
            with self._committing:
                self._committer = threading.get_ident()
                try:
                    self._serve_group(group)
                except BaseException as error:  # noqa: BLE001 - the writer's edge: callers must not wait for ever
                    _fail(group, error)
                self._committer = None
            with self._accepting:
                self._unanswered -= len(gathered)
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


def _wanted(group: list[Work]) -> list[Work]:
    """Without those whose future was cancelled while it waited: they ask for nothing any more."""
    return [
        item
        for item in group
        if item.future.running() or item.future.set_running_or_notify_cancel()
    ]


def _fail(group: list[Work], error: BaseException) -> None:
    broken = Broken("database.broken", f"The writer failed ({error!r}).")
    for item in group:
        item.error = broken


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
