"""The event record in SQL: append with the chain, read, verify."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from mainspring.core.digest import Digest, canonical_json
from mainspring.core.events import GENESIS, Event, EventKind, Fact, Ref, chain_digest
from mainspring.core.time import from_micros, to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Reader, Row, Transaction

COLUMNS = (
    "sequence, time_micros, recorded_micros, actor, kind, subject, facts, used, generated, "
    "previous, digest"
)
_INSERT = f"INSERT INTO events ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_HEAD = (
    "INSERT INTO event_head (id, sequence, digest) VALUES (1, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, digest = excluded.digest"
)
REFS = "INSERT INTO event_refs (ref, role, sequence) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_strings = msgspec.json.Decoder(tuple[str, ...])


def append(tx: Transaction, fact: Fact, clock: Clock) -> int:
    """The sequence number of the fact, chained to the event before it.

    Concurrency: the caller holds the only writer (SQLite) or the head's row lock (PostgreSQL).
    """
    head = tx.one("SELECT sequence, digest FROM event_head WHERE id = 1")
    sequence, previous = (head[0], Digest(head[1])) if head else (0, GENESIS)
    # A round trip through JSON, so that the digest is over what a reader will see.
    facts = msgspec.json.decode(canonical_json(fact.facts))
    event = Event(
        sequence=sequence + 1,
        time=from_micros(to_micros(clock.now())),
        recorded=from_micros(to_micros(datetime.now(UTC))),
        actor=str(fact.actor or tx.actor),
        kind=fact.kind,
        subject=fact.subject,
        facts=facts,
        used=fact.used,
        generated=fact.generated,
        previous=previous,
        digest=GENESIS,
    )
    event = msgspec.structs.replace(event, digest=chain_digest(event))
    tx.run(_INSERT, to_row(event))
    tx.run(_HEAD, (event.sequence, event.digest))
    tx.many(REFS, references(event))
    return event.sequence


def references(event: Event) -> list[tuple[str, str, int]]:
    """The rows of the reference index that an event stands for."""
    rows: list[tuple[str, str, int]] = [(ref, "used", event.sequence) for ref in event.used]
    rows += [(ref, "generated", event.sequence) for ref in event.generated]
    rows.append((event.subject, "subject", event.sequence))
    return rows


def to_row(event: Event) -> Row:
    """An event as its stored columns."""
    return (
        event.sequence,
        to_micros(event.time),
        to_micros(event.recorded),
        event.actor,
        event.kind,
        event.subject,
        canonical_json(event.facts).decode(),
        canonical_json(event.used).decode(),
        canonical_json(event.generated).decode(),
        event.previous,
        event.digest,
    )


def from_row(row: Row) -> Event:
    """A stored row as an event."""
    return Event(
        sequence=row[0],
        time=from_micros(row[1]),
        recorded=from_micros(row[2]),
        actor=row[3],
        kind=EventKind(row[4]),
        subject=Ref(row[5]),
        facts=msgspec.json.decode(row[6]),
        used=tuple(Ref(ref) for ref in _strings.decode(row[7])),
        generated=tuple(Ref(ref) for ref in _strings.decode(row[8])),
        previous=Digest(row[9]),
        digest=Digest(row[10]),
    )


def after(reader: Reader, sequence: int, *, limit: int = 1000) -> list[Event]:
    """The events after a sequence number, oldest first."""
    rows = reader.all(
        f"SELECT {COLUMNS} FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
        (sequence, limit),
    )
    return [from_row(row) for row in rows]


def every(reader: Reader) -> Iterator[Event]:
    """All events, oldest first, a thousand at a time."""
    last = 0
    while batch := after(reader, last):
        yield from batch
        last = batch[-1].sequence
