"""One move of an alias inside a transaction, as moving, rolling back and deleting all make it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from mainspring.core.errors import Conflict
from mainspring.core.events import Fact, Ref, ref
from mainspring.ports.database import Reader, Transaction
from mainspring.registry import events
from mainspring.registry.lookup import actor_name, check_because
from mainspring.registry.ports import RegistryStore
from mainspring.registry.types import ANYTHING, Alias, Because, Expected, Model, Move

RECENT: Final = 100  # moves among which a key is looked for: a retry comes soon


def alias_state(store: RegistryStore, reader: Reader, model: Model, alias: str) -> Alias:
    """Where an alias points; version None and revision 0 for one that never was."""
    newest = store.moves(reader, model, alias, limit=1)
    number, revision = (newest[0].after, newest[0].revision) if newest else (None, 0)
    return Alias(name=model.name, alias=alias, version=number, revision=revision)


def check_expected(now: Alias, expected: Expected) -> None:
    """Nothing, when the alias is where the caller believes it to be.

    Errors: ``registry.alias_moved``, with where it is.
    """
    if expected is ANYTHING:
        return
    if isinstance(expected, Alias):
        fits = (expected.version, expected.revision) == (now.version, now.revision)
        believed = expected.version
    else:
        fits = expected == now.version
        believed = expected
    if not fits:
        raise Conflict(
            "registry.alias_moved",
            f"{now.name}@{now.alias} points at {_spoken(now.version)}, "
            f"not at {_spoken(believed)} as expected.",
            hint="Read it again and decide anew.",
            alias=now.alias,
            version=now.version,
            expected=believed,
            revision=now.revision,
        )


def _spoken(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"


def made_before(
    store: RegistryStore, reader: Reader, model: Model, alias: str, because: Because
) -> Move | None:
    """The move that was made under this key already, among the newest of the alias."""
    if not because.key:
        return None
    recent = store.moves(reader, model, alias, limit=RECENT)
    return next((move for move in recent if move.key == because.key), None)


def record_move(
    store: RegistryStore,
    tx: Transaction,
    model: Model,
    alias: str,
    *,
    to: int | None,
    now: datetime,
    because: Because,
) -> Move:
    """The entry of a move that is made now, with its event.

    Concurrency: refused with ``registry.alias_moved`` when another writer came between.
    """
    check_because(because)
    if because.key:
        because = replace(because, evidence={**because.evidence, "key": because.key})
    newest = store.moves(tx, model, alias, limit=1)
    before = newest[0].after if newest else None
    revision = newest[0].revision + 1 if newest else 1
    sequence = tx.announce(_fact(model, alias, revision, before=before, to=to, because=because))
    move = Move(
        alias=alias,
        revision=revision,
        before=before,
        after=to,
        # Within one alias time does not go back, so that a past moment has one answer.
        time=max(now, newest[0].time) if newest else now,
        actor=actor_name(tx, because),
        why=because.why,
        evidence=because.evidence,
        sequence=sequence,
    )
    if not store.move_alias(tx, model, move):
        raise Conflict(
            "registry.alias_moved",
            f"{model.name}@{alias} was moved at the same moment.",
            hint="Read it again and decide anew.",
            alias=alias,
        )
    return move


def _fact(
    model: Model, alias: str, revision: int, *, before: int | None, to: int | None, because: Because
) -> Fact:
    address = f"{model.name}@{alias}"
    used: list[Ref] = []
    if to is not None:
        used.append(ref("model", f"{model.name}/{to}"))
    return Fact(
        kind=events.ALIAS_REMOVED if to is None else events.ALIAS_MOVED,
        subject=ref("alias", address),
        facts={
            "before": before,
            "after": to,
            "revision": revision,
            "why": because.why,
            "evidence": because.evidence,
        },
        used=tuple(used),
        generated=() if to is None else (ref("release", f"{address}/{revision}"),),
        actor=because.actor,
    )


def drop_aliases(
    store: RegistryStore,
    tx: Transaction,
    model: Model,
    *,
    now: datetime,
    because: Because,
    number: int | None = None,
) -> None:
    """Removes the aliases of a model, or of one of its versions, each with its entry."""
    for alias, points_at in model.aliases.items():
        if number is None or points_at == number:
            record_move(store, tx, model, alias, to=None, now=now, because=because)
