"""Whether the record is what was written: the first row that was edited, removed, put in or moved.

Each event carries the digest of the one before it, and a head beside the record carries the newest.
Whoever can write the whole database can also rewrite the whole chain; against that, note the
:class:`~mainspring.governance.ports.Head` of a report elsewhere (a ticket, a print, another
system) and give it to the next :func:`verify`.

Source: hash chains as in Haber and Stornetta, "How to Time-Stamp a Digital Document" (1991).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from mainspring.core.digest import Digest, canonical_json
from mainspring.core.events import GENESIS, Event, chain_digest
from mainspring.governance.ports import EventLog, Head, Unreadable

What = Literal["edited", "removed", "inserted", "moved", "rewritten", "cut", "no_head"]


class Flaw(msgspec.Struct, frozen=True):
    """The first thing that is wrong with the record, and at which sequence number.

    ``edited``: the row is not what its digest says. ``moved``: it is an event from another place.
    ``removed``: rows from here on are missing. ``inserted``: a row that does not belong.
    ``rewritten``: the row fits itself, but not what was noted of it (the next row, the head or the
    noted head). ``cut``: the newest rows are missing. ``no_head``: the noted newest event is gone.
    """

    sequence: int
    what: What
    detail: str


class AuditReport(msgspec.Struct, frozen=True):
    """What a verification found; ``head`` is worth noting elsewhere when ``ok``."""

    ok: bool
    events: int
    head: Head | None
    flaw: Flaw | None = None


def verify(log: EventLog, noted: Head | None = None) -> AuditReport:
    """What is wrong with the record, if anything; ``noted`` is a head kept from an earlier report.

    Cost: every event is read and hashed once, a thousand at a time.
    """
    head = log.head()
    chain = _Chain(noted)
    for row in _stored(log):
        flaw = chain.take(row, None if head is None else head.sequence)
        if flaw is not None:
            if flaw.what == "edited" and isinstance(row, Event):
                flaw = _moved(log, row) or flaw
            return AuditReport(ok=False, events=chain.events, head=head, flaw=flaw)
    flaw = chain.end(head) or _hidden(chain.events, log.count())
    return AuditReport(ok=flaw is None, events=chain.events, head=head, flaw=flaw)


class _Chain:
    """The walk along the chain, one row at a time."""

    def __init__(self, noted: Head | None) -> None:
        self.events = 0
        self._noted = noted
        self._digest = GENESIS

    def take(self, row: Event | Unreadable, newest: int | None) -> Flaw | None:
        """The flaw that this row shows, or None and one step on."""
        expected = self.events + 1
        flaw = _misplaced(row, expected) or self._unsound(row, expected)
        if flaw is not None or isinstance(row, Unreadable):
            return flaw
        if newest is not None and expected > newest:
            return Flaw(expected, "inserted", f"the newest event noted beside it is {newest}")
        self.events, self._digest = expected, row.digest
        if self._noted and self._noted.sequence == expected and self._noted.digest != row.digest:
            return Flaw(expected, "rewritten", "its digest is not the one that was noted elsewhere")
        return None

    def _unsound(self, row: Event | Unreadable, expected: int) -> Flaw | None:
        if isinstance(row, Unreadable):
            return Flaw(expected, "edited", row.problem)
        if chain_digest(row) != row.digest:
            return Flaw(expected, "edited", "the row's digest is not that of its contents")
        return None if row.previous == self._digest else self._broken_link(expected)

    def _broken_link(self, expected: int) -> Flaw:
        if self.events == 0:
            return Flaw(expected, "rewritten", "the first event follows another one")
        detail = f"event {expected} was written after another event {self.events}"
        return Flaw(self.events, "rewritten", detail)

    def end(self, head: Head | None) -> Flaw | None:
        """The flaw that shows only when there are no more rows."""
        if head is None:
            return Flaw(self.events, "no_head", "events without a head") if self.events else None
        if self._noted is not None and self.events < self._noted.sequence:
            detail = f"event {self._noted.sequence} was noted elsewhere"
            return Flaw(self.events + 1, "cut", detail)
        if self.events < head.sequence:
            detail = f"the newest event was {head.sequence}"
            return Flaw(self.events + 1, "cut", detail)
        if self._digest != head.digest:
            return Flaw(self.events, "rewritten", "its digest is not the one noted as the newest")
        return None


def _misplaced(row: Event | Unreadable, expected: int) -> Flaw | None:
    if not isinstance(row.sequence, int) or row.sequence < expected:
        return Flaw(expected, "inserted", f"a row numbered {row.sequence!r} stands before it")
    if row.sequence > expected:
        last = row.sequence - 1
        return Flaw(expected, "removed", f"the rows {expected} to {last} are not there")
    return None


def _hidden(walked: int, rows: int) -> Flaw | None:
    if walked == rows:
        return None
    return Flaw(walked + 1, "inserted", f"{rows - walked} rows have no number")


def _stored(log: EventLog) -> Iterator[Event | Unreadable]:
    last: int | None = None
    while batch := log.stored(last):
        yield from batch
        last = batch[-1].sequence
        if last is None:  # such a row is a flaw, so nobody asks for more
            return


def _moved(log: EventLog, event: Event) -> Flaw | None:
    """Whether the row is a sound event from another place in the record."""
    for row in _stored(log):
        if row.sequence is None:
            continue
        there = msgspec.structs.replace(event, sequence=row.sequence)
        if chain_digest(there) == event.digest:
            detail = f"the row is event {row.sequence}, or a copy of it"
            return Flaw(event.sequence, "moved", detail)
    return None


def export(log: EventLog) -> Iterator[bytes]:
    """The record as JSON Lines, one event each, canonical; :func:`verify_export` needs no database."""
    last = 0
    while batch := log.after(last):
        for event in batch:
            yield canonical_json(event) + b"\n"
        last = batch[-1].sequence


def verify_export(lines: Iterable[bytes], noted: Head | None = None) -> AuditReport:
    """What is wrong with an exported record; a cut end shows only against a noted head."""
    chain = _Chain(noted)
    head: Head | None = None
    for number, line in enumerate(lines, start=1):
        try:
            row: Event | Unreadable = msgspec.json.decode(line, type=Event)
        except msgspec.MsgspecError as error:
            row = Unreadable(number, f"the line is no event ({error})")
        flaw = chain.take(row, None)
        if flaw is not None:
            return AuditReport(ok=False, events=chain.events, head=head, flaw=flaw)
        if isinstance(row, Event):
            head = Head(row.sequence, Digest(row.digest))
    flaw = chain.end(head or noted) if noted else None
    return AuditReport(ok=flaw is None, events=chain.events, head=head, flaw=flaw)
