"""What governance reads: the event record, as of one moment."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from mainspring.core.digest import Digest
from mainspring.core.events import Event, EventKind, Ref

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
