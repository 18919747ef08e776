"""The event record as governance reads it, on a reader or inside a transaction."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from mainspring._adapters.sql import events
from mainspring.core.digest import Digest
from mainspring.core.events import Event, EventKind, Ref
from mainspring.governance.ports import Head, Reference, Role, Unreadable
from mainspring.ports.database import Reader, Row, Transaction

_COLUMNS: Final = ", ".join(f"e.{column}" for column in events.COLUMNS.split(", "))
_LAST: Final = 2**63 - 1


class SqlEventLog:
    """The record as of the moment of its reader."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def stored(self, after: int | None, *, limit: int = 1000) -> list[Event | Unreadable]:
        # No row sorts before the lowest integer but null, which count() tells of.
        rows = self._reader.all(
            f"SELECT {events.COLUMNS} FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (-(2**63) if after is None else after, limit),
        )
        return [_event(row) for row in rows]

    def after(self, sequence: int, *, limit: int = 1000) -> list[Event]:
        return events.after(self._reader, sequence, limit=limit)

    def newest(
        self, *, before: int | None = None, kind: EventKind | None = None, limit: int = 100
    ) -> list[Event]:
        where, values = ("", ()) if kind is None else ("AND kind = ? ", (kind,))
        rows = self._reader.all(
            f"SELECT {events.COLUMNS} FROM events WHERE sequence < ? {where}"
            "ORDER BY sequence DESC LIMIT ?",
            (_LAST if before is None else before, *values, limit),
        )
        return [events.from_row(row) for row in rows]

    def at(self, sequence: int) -> Event | None:
        row = self._reader.one(
            f"SELECT {events.COLUMNS} FROM events WHERE sequence = ?", (sequence,)
        )
        return None if row is None else events.from_row(row)

    def of(  # noqa: PLR0913 - a query has as many parts
        self,
        ref: Ref,
        role: Role,
        *,
        first: int = 0,
        last: int | None = None,
        naming: Literal["used", "generated"] | None = None,
        limit: int = 1000,
    ) -> list[Event]:
        where = f"AND e.{naming} <> '[]' " if naming in {"used", "generated"} else ""
        rows = self._reader.all(
            f"SELECT {_COLUMNS} FROM event_refs r JOIN events e ON e.sequence = r.sequence "
            f"WHERE r.ref = ? AND r.role = ? AND r.sequence >= ? AND r.sequence <= ? {where}"
            "ORDER BY r.sequence LIMIT ?",
            (ref, role, first, _LAST if last is None else last, limit),
        )
        return [events.from_row(row) for row in rows]

    def head(self) -> Head | None:
        row = self._reader.one("SELECT sequence, digest FROM event_head WHERE id = 1")
        return None if row is None else Head(row[0], Digest(row[1]))

    def count(self) -> int:
        return _number(self._reader.one("SELECT count(*) FROM events"))

    def references(self, first: int, last: int) -> list[Reference]:
        rows = self._reader.all(
            "SELECT ref, role, sequence FROM event_refs WHERE sequence >= ? AND sequence <= ?",
            (first, last),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def count_references(self) -> int:
        return _number(self._reader.one("SELECT count(*) FROM event_refs"))


class SqlReferenceIndex(SqlEventLog):
    """The record inside a transaction."""

    def __init__(self, tx: Transaction) -> None:
        super().__init__(tx)
        self._tx = tx

    def forget_references(self) -> None:
        self._tx.run("DELETE FROM event_refs")

    def index(self, events_: list[Event]) -> None:
        self._tx.many(events.REFS, [row for event in events_ for row in events.references(event)])


def _event(row: Row) -> Event | Unreadable:
    """The row as an event, when it is what would be written for that event, to the letter."""
    sequence = row[0] if isinstance(row[0], int) else None
    try:
        event = events.from_row(row)
        written = events.to_row(event)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        return Unreadable(sequence, f"a value is of the wrong kind ({error})")
    if written != row:
        names = events.COLUMNS.split(", ")
        changed = [n for n, a, b in zip(names, written, row, strict=True) if a != b]
        return Unreadable(sequence, f"{', '.join(changed)} is not as it is written")
    return event


def _number(row: Row | None) -> int:
    return int(row[0]) if row else 0
