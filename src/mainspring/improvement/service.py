"""The loop's use cases: answer triggers, and take each arrow with its evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from mainspring.core.errors import Conflict
from mainspring.core.events import EventKind, Fact, Ref, ref
from mainspring.improvement import events
from mainspring.improvement.machine import ARROWS, Challenge, Move, due
from mainspring.improvement.ports import ChallengeStore
from mainspring.improvement.types import Retraining
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Loop:
    """Continuous improvement of the models behind endpoints."""

    database: Database
    store: ChallengeStore
    clock: Clock

    def current(self, endpoint: str) -> Challenge | None:
        """The open challenge of an endpoint, if there is one."""
        return self.database.read(lambda db: self.store.current(db, endpoint))

    def history(self, endpoint: str, *, limit: int = 100) -> list[Challenge]:
        """The endpoint's challenges, newest first."""
        return self.database.read(lambda db: self.store.list(db, endpoint, limit=limit))

    def consider(
        self,
        rules: Retraining,
        *,
        endpoint: str,
        model: str,
        champion: int,
        champion_since: datetime,
        alerts: tuple[str, ...],
    ) -> Challenge | None:
        """Opens a challenge when a trigger asks for one and no rule forbids it.

        A trigger that the cooldown holds back, or that finds a challenge open, is recorded as
        ignored when it was an alert.
        """
        now = self.clock.now()

        def work(tx: Transaction) -> Challenge | None:
            newest = self.store.last(tx, endpoint)
            last = max(newest.opened, champion_since) if newest else champion_since
            trigger, held = due(rules, last=last, now=now, alerts=alerts)
            if newest and newest.open:
                trigger, held = None, trigger or held
                why = f"challenge {newest.id} is still in state {newest.state}"
            else:
                why = f"the cooldown of {rules.cooldown} is not over"
            if held and held.startswith("alert:"):
                subject = ref("endpoint", endpoint)
                facts = {"trigger": held, "reason": why}
                tx.announce(Fact(kind=events.IGNORED, subject=subject, facts=facts))
            if trigger is None:
                return None
            challenge = self.store.open(
                tx, endpoint=endpoint, model=model, trigger=trigger, champion=champion, now=now
            )
            tx.announce(_fact(events.REQUESTED, challenge, Move(to="requested", reason=trigger)))
            return challenge

        return self.database.write(work)

    def move(
        self,
        challenge: Challenge,
        move: Move,
        *,
        along: Callable[[Transaction], object] | None = None,
    ) -> Challenge:
        """The challenge after an arrow, recorded with its evidence.

        ``along`` is written in the same transaction: a promotion and its alias are one change.
        Errors: ``improvement.no_such_arrow``; ``improvement.moved_meanwhile`` when another
        worker moved it first.
        """
        if move.to not in ARROWS.get(challenge.state, frozenset()):
            raise Conflict(
                "improvement.no_such_arrow",
                f"Challenge {challenge.id} cannot go from {challenge.state} to {move.to}.",
                hint="Read it again: it may have moved on.",
                challenge=challenge.id,
            )
        now = self.clock.now()

        def work(tx: Transaction) -> Challenge:
            moved = self.store.move(tx, challenge, move, now)
            if along is not None:
                along(tx)
            tx.announce(_fact(events.MOVED, moved, move, came_from=challenge.state))
            return moved

        return self.database.write(work)


def _fact(kind: EventKind, challenge: Challenge, move: Move, came_from: str = "") -> Fact:
    used: list[Ref] = [ref("model", f"{challenge.model}/{challenge.champion}")]
    if challenge.challenger is not None:
        used.append(ref("model", f"{challenge.model}/{challenge.challenger}"))
    facts = {
        "endpoint": challenge.endpoint,
        "from": came_from,
        "to": challenge.state,
        "step": challenge.step,
        "trigger": challenge.trigger,
        "champion": challenge.champion,
        "challenger": challenge.challenger,
        "reason": move.reason,
        "evidence": msgspec.to_builtins(move.evidence),
    }
    return Fact(
        kind=kind,
        subject=ref("challenge", challenge.id),
        facts=facts,
        used=(*used, ref("endpoint", challenge.endpoint)),
    )
