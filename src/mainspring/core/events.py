"""The one record: facts that a stage announces, and the chained rows they become.

A stage declares its kinds once (:func:`kind`) and announces a :class:`Fact` in the transaction of
the change it tells of. Three readers share the table: audit, outbox and lineage. For lineage a
fact says what it ``used`` and what it ``generated`` (W3C PROV-DM, sections 5.1 and 5.2); the
subject is the activity.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NewType

import msgspec

from mainspring.core.actor import Actor
from mainspring.core.digest import Digest, digest_of
from mainspring.core.time import to_micros

EventKind = NewType("EventKind", str)
Ref = NewType("Ref", str)  # "dataset:orders@3", "model:churn/2", "run:8f...": type, colon, name

KINDS: dict[EventKind, str] = {}
GENESIS = Digest("sha256:" + "0" * 64)


def kind(name: str, meaning: str) -> EventKind:
    """Declares an event kind and what it says; each is declared once, in its stage's events.py."""
    if name in KINDS:
        raise ValueError(f"event kind {name!r} is declared twice")
    KINDS[EventKind(name)] = meaning
    return EventKind(name)


def ref(type_: str, name: object) -> Ref:
    """The reference by which one fact points at a thing: ``type:name``."""
    return Ref(f"{type_}:{name}")


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, as its stage announces it."""

    kind: EventKind
    subject: Ref
    facts: dict[str, Any] = {}
    used: tuple[Ref, ...] = ()
    generated: tuple[Ref, ...] = ()
    actor: Actor | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact in the record: with its number, its moment and its place in the hash chain.

    ``time`` is the workspace's clock, which a replay sets to the past; ``recorded`` is the
    machine's clock when the row was written.
    """

    sequence: int
    time: datetime
    recorded: datetime
    actor: str
    kind: EventKind
    subject: Ref
    facts: dict[str, Any]
    used: tuple[Ref, ...]
    generated: tuple[Ref, ...]
    previous: Digest
    digest: Digest


def chain_digest(event: Event) -> Digest:
    """The digest an event must carry: over all of it but the digest itself, the previous included.

    Any edit of a row breaks its own digest; a removed, inserted or moved row breaks the link of
    the row after it.
    """
    return digest_of(
        [
            event.sequence,
            to_micros(event.time),
            to_micros(event.recorded),
            event.actor,
            event.kind,
            event.subject,
            event.facts,
            event.used,
            event.generated,
            event.previous,
        ]
    )
