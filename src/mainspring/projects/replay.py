"""A stretch of recorded history, played through the loop as if it were production.

Day by day in event time: the day's rows are predicted through the gateway, the clock moves on,
outcomes that became known arrive, windows close, alerts fire, challengers are trained, compared,
shadowed, released or refused. Each part of a day is a step of an execution, so a replay that was
killed goes on where it was; and each part is safe to do twice:

* a prediction has its row's key as id, and the prediction table keeps the first of each;
* a route changes only after the day's predictions are recorded as done;
* outcomes carry a token per day, windows and challenges are kept once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import digest_of
from mainspring.core.durations import parse_duration
from mainspring.core.errors import Invalid
from mainspring.core.events import Fact, ref
from mainspring.improvement import types as improvement
from mainspring.improvement.machine import Challenge, Move, next_move
from mainspring.monitoring import reference
from mainspring.monitoring.service import Watched
from mainspring.monitoring.windows import Window
from mainspring.pipelines.service import Running
from mainspring.ports.database import Transaction
from mainspring.ports.tables import Frame
from mainspring.projects import events
from mainspring.projects.development import VERDICT, WHY, Development
from mainspring.projects.file import LoadedProject
from mainspring.projects.packaging import REFERENCE_FILE
from mainspring.projects.parts import Parts
from mainspring.projects.production import CHAMPION
from mainspring.registry.types import Because
from mainspring.training.table import TrainingTable

DAY: Final = timedelta(days=1)
FROZEN: Final = 1  # the version that is kept beside the champion, never retrained


@dataclass(frozen=True, slots=True)
class _Month:
    """Rows and outcomes of a stretch that ends at a month's end."""

    end: datetime
    rows: TrainingTable
    outcomes: Frame

    def known_in(self, since: datetime, until: datetime) -> Frame:
        """The outcomes that became known in (since, until]."""
        bounds = np.array([np.datetime64(m.replace(tzinfo=None), "us") for m in (since, until)])
        first, last = np.searchsorted(self.outcomes["moment"], bounds, side="right")
        return {k: v[first:last] for k, v in self.outcomes.items() if k != "moment"}


def spec_of(project: LoadedProject) -> improvement.Replay:
    """What the project says of its replay. Errors: ``projects.no_replay``."""
    if project.spec.replay is None:
        raise Invalid(
            "projects.no_replay",
            "The project does not say which stretch to replay.",
            hint="Add [replay] with 'history_until' (and 'until') to mainspring.toml.",
        )
    return project.spec.replay


def begin_of(project: LoadedProject) -> datetime:
    """When production begins, and with it the time of the replay. Errors: as ``spec_of``."""
    return _midnight(spec_of(project).history_until)


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay of a project in its own workspace."""

    parts: Parts
    development: Development
    running: Running

    def play(self) -> None:
        """Plays the whole stretch; what is done already is not done again."""
        begin, end = self.stretch()
        self.parts.clock.set(begin)
        self._step("first model", lambda: self._first(begin))
        self._release("The first release.")
        month: _Month | None = None
        for day in days(begin, end):
            if month is None or day >= month.end:
                month = self._month(day, end)
            self._day(day, month)
        self.parts.clock.set(end)

    def stretch(self) -> tuple[datetime, datetime]:
        """When production begins and ends. Errors: ``projects.no_replay``."""
        spec = spec_of(self.parts.project)
        end = _midnight(spec.until) if spec.until else self.parts.rows.last_day() + DAY
        return begin_of(self.parts.project), end

    # -- a day --------------------------------------------------------------------------------

    def _month(self, day: datetime, end: datetime) -> _Month:
        """The rows and outcomes up to the end of the day's month: one query each, not one a day."""
        begin, rows = self.stretch()[0], self.parts.rows
        until = min(_next_month(day), end)
        outcomes = rows.outcomes_between(day, until, predicted_from=begin)
        return _Month(until, rows.predicted_between(day, until), outcomes)

    def _day(self, day: datetime, month: _Month) -> None:
        rows = slice_of(month.rows, day, day + DAY)
        self._step(f"predict {day:%Y-%m-%d}", lambda: self._predict(rows))
        self.parts.clock.set(day + DAY)
        outcomes = month.known_in(day, day + DAY)
        self._step(f"decide {day:%Y-%m-%d}", lambda: self._decide(day, outcomes))

    def _step(self, name: str, work: Callable[[], Any]) -> Any:
        key = digest_of([self.running.execution.id, name])
        return self.running.step(name, key, work)

    def _predict(self, rows: TrainingTable) -> int:
        """Sends the day's rows in event order; every answer's record is durable."""
        spec = self.parts.project.spec
        batch = spec.endpoint.batch if spec.endpoint else 256
        for start in range(0, len(rows), batch):
            part = rows.take(np.arange(start, min(start + batch, len(rows))))
            keys = part.keys.tolist()
            self.parts.production.gateway.predict(
                self.parts.production.endpoint,
                part.inputs,
                ids=keys,
                entity=keys,
                event_times=_moments(part),
            )
        return len(rows)

    def _decide(self, day: datetime, outcomes: Frame) -> dict[str, Any]:
        """What happens after the day's predictions: outcomes, windows, the loop."""
        now = day + DAY
        self._outcomes(day, outcomes)
        challenge = self.parts.loop.current(self.parts.production.endpoint)
        closes = self._closes_window(now)
        if closes or challenge is not None:
            self._ship()
        if closes:
            self._close_window(now)
            challenge = challenge or self._consider(now)
        if challenge is not None:
            self._advance(challenge, now)
        self.parts.progress(f"{now:%Y-%m-%d}")
        return {}

    def _outcomes(self, day: datetime, rows: Frame) -> None:
        if len(rows["prediction_id"]):
            endpoint = self.parts.production.endpoint
            self.parts.watch.receive_outcomes(endpoint, rows, token=f"outcomes:{day:%Y-%m-%d}")

    def _ship(self) -> None:
        production = self.parts.production
        rows = production.gateway.ship()
        if not rows:
            return
        table = production.tables.version(f"predictions/{production.endpoint}")
        models = [ref("model", f"{production.model}/{production.champion()}")]
        fact = Fact(
            kind=events.SHIPPED,
            subject=ref("endpoint", production.endpoint),
            facts={"rows": rows},
            used=tuple(models),
            generated=(ref("predictions", f"{production.endpoint}@{table}"),),
        )
        self.parts.database.write(lambda tx: tx.announce(fact))

    # -- windows ------------------------------------------------------------------------------

    def _closes_window(self, now: datetime) -> bool:
        begin, _ = self.stretch()
        length = parse_duration(self.parts.project.spec.monitoring.window)
        return (now - begin) % length == timedelta(0)

    def _close_window(self, now: datetime) -> Window:
        spec = self.parts.project.spec
        length = parse_duration(spec.monitoring.window)
        window, _ = self.parts.watch.close_window(
            self.parts.production.endpoint,
            now - length,
            now,
            watched=self._watched(),
            spec=spec.monitoring,
            problem=spec.problem,
        )
        return window

    def _watched(self) -> Watched:
        production = self.parts.production
        champion = production.champion() or FROZEN
        package = production.registry.packages.open(production.model, champion)
        numbers = range(1, self._versions() + 1)
        return Watched(
            model=production.model,
            version=champion,
            signature=package.manifest.signature,
            reference=reference.decode(package.files[REFERENCE_FILE]),
            evaluated=package.manifest.metrics,
            thresholds={str(n): production.threshold(n) for n in numbers},
            compare_with=(str(FROZEN),),
        )

    def _versions(self) -> int:
        found = self.parts.loop.history(self.parts.production.endpoint, limit=1000)
        return max([FROZEN, *(c.challenger for c in found if c.challenger is not None)])

    # -- the loop -----------------------------------------------------------------------------

    def _consider(self, now: datetime) -> Challenge | None:
        parts, spec = self.parts, self.parts.project.spec
        production = parts.production
        champion = production.champion()
        if champion is None:
            return None
        trained = production.manifest(champion).trained_until
        opened = tuple(a.monitor for a in parts.watch.alerts(production.endpoint, open_only=True))
        newest = parts.loop.history(production.endpoint, limit=1)
        if newest and newest[0].opened == now:
            return newest[0] if newest[0].open else None
        return parts.loop.consider(
            spec.retraining,
            endpoint=production.endpoint,
            model=production.model,
            champion=champion,
            champion_since=datetime.fromisoformat(trained) if trained else now,
            alerts=opened,
        )

    def _advance(self, challenge: Challenge, now: datetime) -> None:
        """Takes the arrows that are due; from whatever state a crash left the challenge in."""
        loop, spec = self.parts.loop, self.parts.project.spec
        if challenge.state == "requested":
            challenge = loop.move(challenge, Move(to="training", reason="Training began."))
        if challenge.state == "training":
            challenge = self._trained(challenge, now)
        if challenge.state == "comparing":
            challenge = self._judged(challenge)
        if challenge.state in {"shadow", "canary"} and challenge.since < now:
            found, test = self.parts.production.live_comparison(challenge, spec.comparison, now=now)
            move = next_move(challenge, spec.release, found, now)
            if move is not None:
                evidence = {**move.evidence, "comparison": test.reason if test else ""}
                self._take(challenge, _with(move, evidence))

    def _trained(self, challenge: Challenge, now: datetime) -> Challenge:
        self.parts.progress(f"challenge {challenge.id}: training ({challenge.trigger})")
        version = self.development.challenger(challenge, now)
        reason = f"{version.address} was trained on labels known by {now:%Y-%m-%d}."
        move = Move(to="comparing", reason=reason, challenger=version.number)
        return self.parts.loop.move(challenge, move)

    def _judged(self, challenge: Challenge) -> Challenge:
        production = self.parts.production
        version = production.registry.versions.get(challenge.model, challenge.challenger or 0)
        accepted = version.tags.get(VERDICT) == "accepted"
        move = Move(to="shadow" if accepted else "rejected", reason=version.tags.get(WHY, ""))
        return self._take(challenge, move)

    def _take(self, challenge: Challenge, move: Move) -> Challenge:
        """One arrow with what belongs to it: the alias, the version's status, the route."""
        production = self.parts.production
        self.parts.progress(f"challenge {challenge.id}: {move.to} ({move.reason})")

        def along(tx: Transaction) -> None:
            if move.to == "promoted" and challenge.challenger is not None:
                production.registry.aliases.move_within(
                    tx,
                    challenge.model,
                    CHAMPION,
                    to=challenge.challenger,
                    expected=challenge.champion,
                    because=Because(move.reason, evidence=move.evidence),
                )

        moved = self.parts.loop.move(challenge, move, along=along)
        if move.to in {"rejected", "withdrawn", "rolled_back"} and challenge.challenger is not None:
            version = production.registry.versions.get(challenge.model, challenge.challenger)
            self.development.reject(version, [move.reason])
        self._release(move.reason)
        return moved

    def _first(self, begin: datetime) -> int:
        return self.development.first(begin).number

    def _release(self, why: str) -> None:
        production, spec = self.parts.production, self.parts.project.spec
        challenge = self.parts.loop.current(production.endpoint)
        route = production.release(challenge, spec.release, frozen=FROZEN)
        if route is None:
            return
        told = self.parts.record.newest(kind=events.DEPLOYED, limit=1)
        if not told or told[0].facts.get("variants") != production.told(route):
            production.announce_release(route, why)


def days(begin: datetime, end: datetime) -> Iterator[datetime]:
    """Each midnight from begin to before end."""
    day = begin
    while day < end:
        yield day
        day += DAY


def slice_of(rows: TrainingTable, start: datetime, end: datetime) -> TrainingTable:
    """The rows predicted in [start, end), in event order."""
    bounds = np.array([np.datetime64(m.replace(tzinfo=None), "us") for m in (start, end)])
    first, last = np.searchsorted(_moments(rows), bounds)
    return rows.take(np.arange(first, last))


def _moments(rows: TrainingTable) -> NDArray[np.datetime64]:
    if rows.predicted_at is None:
        raise Invalid(
            "projects.no_time",
            "Rows without a time cannot be replayed.",
            hint="Give the problem's dataset a 'time' and the problem a 'predict_before'.",
        )
    return rows.predicted_at


def _with(move: Move, evidence: dict[str, Any]) -> Move:
    return Move(
        to=move.to,
        reason=move.reason,
        step=move.step,
        challenger=move.challenger,
        evidence=evidence,
    )


def _next_month(day: datetime) -> datetime:
    return day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1, day=1)


def _midnight(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
