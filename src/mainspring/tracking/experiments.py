"""Use cases on experiments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from mainspring.core.actor import Actor
from mainspring.core.errors import NotFound
from mainspring.core.events import EventKind, Fact, ref
from mainspring.core.pages import Page
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.tracking import events, tokens
from mainspring.tracking.filters import EXPERIMENTS, Order, parse, parse_orders
from mainspring.tracking.limits import (
    MAX_EXPERIMENT_NAME,
    check_artifact_uri,
    check_experiment_tags,
    check_key,
    check_name,
)
from mainspring.tracking.lookup import need_experiment
from mainspring.tracking.matching import compare, directions, matches, order_values, sort_key
from mainspring.tracking.ports import ExperimentStore
from mainspring.tracking.types import DEFAULT_EXPERIMENT, Experiment, View

_NEWEST = (Order("attribute", "creation_time", descending=True),)


@dataclass(frozen=True, slots=True)
class Experiments:
    """Experiments by identifier and name. Every change is one transaction with its event."""

    database: Database
    store: ExperimentStore
    clock: Clock
    root: str = "mlflow-artifacts:"

    def prepare(self) -> None:
        """Makes the experiment "Default", and what page tokens are signed with, unless they exist."""

        def work(tx: Transaction) -> None:
            self.store.make_secret(tx)
            if self.store.find(tx, DEFAULT_EXPERIMENT) is None:
                self._add(tx, "Default", identifier=DEFAULT_EXPERIMENT)

        self.database.write(work)

    def create(
        self,
        name: str,
        *,
        artifact_uri: str = "",
        tags: Mapping[str, str] | None = None,
        actor: Actor | None = None,
    ) -> Experiment:
        """A new experiment.

        Errors: ``tracking.bad_value``, ``tracking.experiment_exists``.
        """
        check_name("an experiment", name, MAX_EXPERIMENT_NAME)
        uri = check_artifact_uri(artifact_uri)
        checked = check_experiment_tags(tags or {})
        return self.database.write(
            lambda tx: self._add(tx, name, artifact_uri=uri, tags=checked, actor=actor)
        )

    def get(self, experiment_id: str) -> Experiment:
        """The experiment, live or deleted. Errors: ``tracking.experiment_not_found``."""
        return self.database.read(lambda db: need_experiment(self.store, db, experiment_id))

    def named(self, name: str) -> Experiment:
        """The experiment of this name. Errors: ``tracking.experiment_not_found``."""
        found = self.database.read(lambda db: self.store.named(db, name))
        if found is None:
            raise NotFound(
                "tracking.experiment_not_found",
                f"Could not find experiment with name '{name[:80]}'.",
                hint="Create it first, or look for its name.",
                name=name[:80],
            )
        return found

    def ensure(self, name: str, *, actor: Actor | None = None) -> Experiment:
        """The live experiment of this name, made when there is none.

        Errors: ``tracking.experiment_deleted``.
        """
        check_name("an experiment", name, MAX_EXPERIMENT_NAME)

        def work(tx: Transaction) -> Experiment:
            found = self.store.named(tx, name)
            if found is None:
                return self._add(tx, name, actor=actor)
            return need_experiment(self.store, tx, found.id, live=True)

        return self.database.write(work)

    def rename(self, experiment_id: str, name: str, *, actor: Actor | None = None) -> Experiment:
        """The experiment under another name. Errors: ``tracking.experiment_exists``."""
        check_name("an experiment", name, MAX_EXPERIMENT_NAME)
        return self._change(experiment_id, {"name": name}, actor)

    def tag(
        self, experiment_id: str, tags: Mapping[str, str], *, actor: Actor | None = None
    ) -> Experiment:
        """The experiment with these tags set, beside those it has."""
        checked = check_experiment_tags(tags)
        return self._change(experiment_id, {"tags": checked}, actor)

    def untag(self, experiment_id: str, key: str, *, actor: Actor | None = None) -> None:
        """Removes a tag. Errors: ``tracking.tag_not_found``."""
        check_key(key)

        def work(tx: Transaction) -> None:
            found = need_experiment(self.store, tx, experiment_id, live=True)
            if key not in found.tags:
                raise NotFound(
                    "tracking.tag_not_found",
                    f"No tag with name: {key} in experiment with id {experiment_id}.",
                    hint="See the experiment's tags.",
                )
            tags = {tag: value for tag, value in found.tags.items() if tag != key}
            self.store.save(tx, replace(found, tags=tags, updated_ms=self._now_ms()))
            self._announce(tx, events.EXPERIMENT_CHANGED, found.id, actor, {"untagged": key})

        self.database.write(work)

    def delete(self, experiment_id: str, *, actor: Actor | None = None) -> None:
        """Takes an experiment and its runs out of sight; its name stays taken.

        Errors: ``tracking.experiment_not_found``, also when it is deleted already.
        """
        self._move(experiment_id, "active", actor)

    def restore(self, experiment_id: str, *, actor: Actor | None = None) -> None:
        """Brings a deleted experiment back, with all its runs."""
        self._move(experiment_id, "deleted", actor)

    def search(
        self,
        text: str = "",
        *,
        order_by: tuple[str, ...] = (),
        view: View = "active",
        limit: int = 1000,
        token: str | None = None,
    ) -> Page[Experiment]:
        """Experiments that match a filter, newest first unless said.

        Errors: ``tracking.bad_filter``, ``tracking.bad_token``.
        """
        clauses = parse(text, EXPERIMENTS)
        orders = parse_orders(order_by, EXPERIMENTS) or _NEWEST
        orders = (*orders, Order("attribute", "experiment_number"))
        secret = self.database.read(self.store.secret)
        mark = ("experiments", clauses, orders, view)
        after = tokens.read(secret, mark, token)
        found = self.database.read(lambda db: self.store.all(db, view))
        down = directions(orders)
        rows = [(order_values(e, orders, _look), e) for e in found if matches(e, clauses, _look)]
        if after is not None:
            rows = [row for row in rows if compare(row[0], after, down) > 0]
        key = sort_key(down)
        rows.sort(key=lambda row: key(row[0]))
        more = tokens.write(secret, mark, rows[limit - 1][0]) if len(rows) > limit else None
        return Page(tuple(experiment for _, experiment in rows[:limit]), more)

    # -- inside ---------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return to_micros(self.clock.now()) // 1000

    def _add(
        self,
        tx: Transaction,
        name: str,
        *,
        identifier: str = "",
        artifact_uri: str = "",
        tags: dict[str, str] | None = None,
        actor: Actor | None = None,
    ) -> Experiment:
        experiment = Experiment(
            id=identifier,
            name=name,
            artifact_uri=artifact_uri,
            created_ms=self._now_ms(),
            updated_ms=self._now_ms(),
            tags=tags or {},
        )
        stored = self.store.add(tx, experiment, self.root)
        self._announce(tx, events.EXPERIMENT_CREATED, stored.id, actor, {"name": name})
        return stored

    def _change(self, experiment_id: str, facts: dict[str, Any], actor: Actor | None) -> Experiment:
        def work(tx: Transaction) -> Experiment:
            found = need_experiment(self.store, tx, experiment_id, live=True)
            tags = {**found.tags, **facts.get("tags", {})}
            changed = replace(
                found, name=facts.get("name", found.name), tags=tags, updated_ms=self._now_ms()
            )
            self.store.save(tx, changed)
            self._announce(tx, events.EXPERIMENT_CHANGED, found.id, actor, facts)
            return changed

        return self.database.write(work)

    def _move(self, experiment_id: str, state: str, actor: Actor | None) -> None:
        def work(tx: Transaction) -> None:
            found = need_experiment(self.store, tx, experiment_id)
            if found.state != state:
                raise NotFound(
                    "tracking.experiment_not_found",
                    f"No {state} experiment with id={experiment_id} exists.",
                    hint=f"It is {found.state}.",
                )
            deleting = state == "active"
            if not deleting:
                self.store.revive_runs(tx, experiment_id)
            new = replace(
                found, state="deleted" if deleting else "active", updated_ms=self._now_ms()
            )
            self.store.save(tx, new)
            kind = events.EXPERIMENT_DELETED if deleting else events.EXPERIMENT_RESTORED
            self._announce(tx, kind, found.id, actor, {"name": found.name})

        self.database.write(work)

    def _announce(
        self,
        tx: Transaction,
        kind: EventKind,
        experiment_id: str,
        actor: Actor | None,
        facts: dict[str, Any],
    ) -> None:
        tx.announce(
            Fact(kind=kind, subject=ref("experiment", experiment_id), facts=facts, actor=actor)
        )


def _look(experiment: Experiment, kind: str, key: str) -> Any:
    if kind == "tag":
        return experiment.tags.get(key)
    return {
        "name": experiment.name,
        "experiment_id": experiment.id,
        "experiment_number": int(experiment.id),
        "creation_time": experiment.created_ms,
        "last_update_time": experiment.updated_ms,
    }[key]
