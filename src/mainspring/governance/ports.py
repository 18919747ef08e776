"""What governance reads: the event record, as of one moment."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from mainspring.core.digest import Digest
from mainspring.core.events import Event, EventKind, Ref
from mainspring.ports.database import Reader, Transaction

Role = Literal["used", "generated", "subject"]
Reference = tuple[str, str, int]  # what, in which role, by which event


class Head(msgspec.Struct, frozen=True):
    """The newest event: noted down elsewhere, it proves later that nothing before it changed."""

    sequence: int
    digest: Digest


class Unreadable(msgspec.Struct, frozen=True):
    """A row of the record that is no event any more, and why."""

    sequence: int | None
    problem: str


class EventLog(Protocol):
    """The record as of one moment: every call sees the same rows.

    Ordering: by sequence, the oldest first, unless said otherwise.
    """

    def stored(self, after: int | None, *, limit: int = 1000) -> list[Event | Unreadable]:
        """Rows as they lie there, sound or not, from the very first when ``after`` is None."""
        ...

    def after(self, sequence: int, *, limit: int = 1000) -> list[Event]:
        """The events after a sequence number."""
        ...

    def newest(
        self, *, before: int | None = None, kind: EventKind | None = None, limit: int = 100
    ) -> list[Event]:
        """The newest events first, of one kind or all: a page of the audit log."""
        ...

    def at(self, sequence: int) -> Event | None:
        """One event."""
        ...

    def of(
        self,
        ref: Ref,
        role: Role,
        *,
        first: int = 0,
        last: int | None = None,
        naming: Literal["used", "generated"] | None = None,
        limit: int = 1000,
    ) -> list[Event]:
        """The events in which a thing plays a role, between two sequence numbers (both included).

        ``naming`` leaves out those that name nothing used, or nothing generated. Cost: only the
        events found are read.
        """
        ...

    def head(self) -> Head | None:
        """The newest event as it was noted beside the record; None when there is none."""
        ...

    def count(self) -> int:
        """The number of rows, whatever is in them."""
        ...

    def references(self, first: int, last: int) -> list[Reference]:
        """The reference index of a range of events (both ends included)."""
        ...

    def count_references(self) -> int:
        """The number of rows in the reference index."""
        ...


class ReferenceIndex(EventLog, Protocol):
    """The record inside a transaction that may rebuild its reference index."""

    def forget_references(self) -> None:
        """Empties the index."""
        ...

    def index(self, events: list[Event]) -> None:
        """Adds the references of events to the index."""
        ...


class Leftover(msgspec.Struct, frozen=True):
    """A deleted run or logged model: where its artifacts lie (empty when elsewhere), since when.

    Or an upload in parts that nobody completed: abandoned since then.
    """

    kind: Literal["run", "model", "upload"]
    id: str
    tree: str
    deleted_micros: int


class GarbageStore(Protocol):
    """What is out of sight, what may go, and which objects rows still name."""

    def leftovers(self, reader: Reader) -> tuple[list[Leftover], int]:
        """What is deleted and needed by nothing, and how many are deleted but needed."""
        ...

    def still(self, tx: Transaction, some: list[Leftover]) -> list[Leftover]:
        """Those that are deleted and needed by nothing as of this transaction."""
        ...

    def purge(self, tx: Transaction, one: Leftover) -> None:
        """Removes all rows of a run or logged model, its artifacts' names included."""
        ...

    def named(self, reader: Reader, without: list[Leftover]) -> set[Digest]:
        """Every object that an artifact, a step result or an upload names; not those ``without``."""
        ...
