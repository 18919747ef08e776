"""The life of a challenger as one state machine: pure rules, no clock and no storage.

::

    requested ──▶ training ──▶ comparing ──▶ shadow ──▶ canary (step 1..n) ──▶ promoted
                     │             │            │              │
                     ▼             ▼            ▼              ▼
                   failed       rejected    withdrawn      rolled_back

Each arrow carries its reason and its evidence and is recorded with them. An arrow is taken at
most once: a challenge moves only from the state it was read in (compare and set).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from mainspring.core.durations import parse_duration
from mainspring.improvement.types import Release, Retraining

State = Literal[
    "requested",
    "training",
    "comparing",
    "shadow",
    "canary",
    "promoted",
    "failed",
    "rejected",
    "withdrawn",
    "rolled_back",
]
FINAL: Final[frozenset[State]] = frozenset(
    {"promoted", "failed", "rejected", "withdrawn", "rolled_back"}
)
ARROWS: Final[dict[State, frozenset[State]]] = {
    "requested": frozenset({"training"}),
    "training": frozenset({"comparing", "failed"}),
    "comparing": frozenset({"shadow", "rejected"}),
    "shadow": frozenset({"canary", "promoted", "withdrawn"}),
    "canary": frozenset({"canary", "promoted", "rolled_back"}),
}


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to replace a champion, and where it stands.

    ``champion`` and ``challenger`` are version numbers of ``model``; ``step`` counts the canary
    steps from 0; ``since`` is when the present state began.
    """

    id: int
    endpoint: str
    model: str
    trigger: str
    champion: int
    challenger: int | None
    state: State
    step: int
    opened: datetime
    since: datetime
    reason: str = ""

    @property
    def open(self) -> bool:
        return self.state not in FINAL


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """An arrow to take: where to, why, and what was seen."""

    to: State
    reason: str
    step: int = 0
    challenger: int | None = None
    evidence: dict[str, Any] = {}


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """How challenger and champion did on the same live rows with labels, so far.

    ``difference`` is challenger minus champion, turned so that positive is better; ``low`` and
    ``high`` bound it. ``healthy`` is False when the challenger failed, was taken out, or answered
    with something that is not a number.
    """

    rows: int
    difference: float | None
    low: float | None
    high: float | None
    healthy: bool = True
    metric: str = ""


def due(
    rules: Retraining, *, last: datetime | None, now: datetime, alerts: tuple[str, ...]
) -> tuple[str | None, str | None]:
    """Which trigger asks for a challenger now, and which one was held back by the cooldown.

    ``last`` is when the last challenge was opened, or the champion trained if there was none.
    """
    wanted = next((name for name in alerts if name in rules.on_alerts), None)
    trigger = f"alert:{wanted}" if wanted else None
    if trigger is None and _calendar(rules, last=last, now=now):
        trigger = f"calendar:{rules.every}"
    if trigger is None:
        return None, None
    if last is not None and now - last < parse_duration(rules.cooldown):
        return None, trigger
    return trigger, None


def _calendar(rules: Retraining, *, last: datetime | None, now: datetime) -> bool:
    if rules.every == "never" or last is None:
        return False
    if rules.every == "month":
        return (now.year, now.month) > (last.year, last.month)
    period = timedelta(days=7) if rules.every == "week" else parse_duration(rules.every)
    return now - last >= period


def next_move(challenge: Challenge, rules: Release, live: Live, now: datetime) -> Move | None:
    """What a challenge in shadow or canary does next, or None: wait.

    Bad news is acted on at once, good news only after the stage's time has passed and enough
    rows have labels: a stage is never passed for want of evidence.
    """
    if challenge.state not in {"shadow", "canary"}:
        return None
    out: State = "withdrawn" if challenge.state == "shadow" else "rolled_back"
    evidence = msgspec.to_builtins(live)
    if not live.healthy:
        return Move(to=out, reason="The challenger did not answer soundly.", evidence=evidence)
    enough = live.rows >= rules.min_rows and live.difference is not None
    if enough and live.high is not None and live.high < -rules.worse_by:
        reason = (
            f"Worse than the champion by more than {rules.worse_by:g} on {live.rows:,} live rows."
        )
        return Move(to=out, reason=reason, evidence=evidence)
    if not enough or now - challenge.since < hold(challenge, rules):
        return None
    return _onward(challenge, rules, live, evidence)


def hold(challenge: Challenge, rules: Release) -> timedelta:
    """How long the present stage lasts at least."""
    if challenge.state == "shadow":
        return parse_duration(rules.shadow)
    return parse_duration(rules.canary[challenge.step].hold)


def _onward(challenge: Challenge, rules: Release, live: Live, evidence: dict[str, Any]) -> Move:
    step = 0 if challenge.state == "shadow" else challenge.step + 1
    told = f"{live.metric} {live.difference:+.4f} against the champion on {live.rows:,} live rows"
    if live.difference is not None and live.difference < -rules.worse_by:
        out: State = "withdrawn" if challenge.state == "shadow" else "rolled_back"
        return Move(to=out, reason=f"Below the allowed margin: {told}.", evidence=evidence)
    if step < len(rules.canary):
        reason = (
            f"{challenge.state} passed: {told}; {rules.canary[step].share:.0%} of traffic next."
        )
        return Move(to="canary", reason=reason, step=step, evidence=evidence)
    return Move(to="promoted", reason=f"{challenge.state} passed: {told}.", evidence=evidence)
