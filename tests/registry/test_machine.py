"""The registry against a plain model of it: dictionaries and lists, and the same rules."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from registry_workspace import package, workspace_at

from mainspring.core.errors import Conflict, NotFound
from mainspring.registry.query import Query
from mainspring.registry.service import Registry
from mainspring.registry.types import ANYTHING, Because

NAMES = ("late", "Late", "fare")
ALIASES = ("champion", "challenger")
NUMBERS = st.integers(1, 6)


@dataclass
class Plain:
    """One model as the machine believes it to be."""

    status: dict[int, str] = field(default_factory=dict)
    gone: dict[int, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    moves: dict[str, list[int | None]] = field(default_factory=dict)

    def point(self, alias: str, number: int | None) -> None:
        if number is None:
            del self.aliases[alias]
        else:
            self.aliases[alias] = number
        self.moves.setdefault(alias, []).append(number)

    def unpoint(self, number: int | None = None) -> None:
        for alias in sorted(self.aliases):
            if number is None or self.aliases[alias] == number:
                self.point(alias, None)

    def back(self, alias: str) -> int | None:
        trail: list[int] = []
        for number in self.moves.get(alias, []):
            if number in trail:
                trail = trail[: trail.index(number) + 1]
            elif number is not None:
                trail.append(number)
        fit = [n for n in trail if self.status.get(n) in {"registered", "approved"}]
        now = self.aliases.get(alias)
        return next((n for n in reversed(fit) if n != now), None)


class RegistryMachine(RuleBasedStateMachine):
    """Registers, judges, moves, rolls back, deletes, restores and purges, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.ws = workspace_at(":memory:")
        self.registry = self.ws.registry
        self.live: dict[str, Plain] = {}
        self.deleted: dict[str, list[Plain]] = {}
        self.last: dict[str, int] = {}
        self.made = 0

    def teardown(self) -> None:
        self.ws.database.close()

    def attempt(self, allowed: bool, act) -> bool:
        """Whether it was done; the registry and the plain model must agree on that."""
        before = len(self.ws.events)
        if allowed:
            act()
            return True
        with pytest.raises((Conflict, NotFound)):
            act()
        assert len(self.ws.events) == before
        return False

    @rule(name=st.sampled_from(NAMES))
    def register(self, name: str) -> None:
        free = name.lower() not in {one.lower() for one in self.live}
        if self.attempt(free, lambda: self.registry.models.register(name)):
            self.live[name] = Plain()
            self.last.setdefault(name, 0)

    @rule(name=st.sampled_from(NAMES))
    def add(self, name: str) -> None:
        self.made += 1
        manifest, files = package(str(self.made))
        create = self.registry.versions.create
        if self.attempt(name in self.live, lambda: create(name, manifest, files)):
            self.last[name] += 1
            self.live[name].status[self.last[name]] = "registered"
            assert self.registry.versions.get(name, self.last[name]).package == manifest.digest

    @rule(
        name=st.sampled_from(NAMES),
        number=NUMBERS,
        status=st.sampled_from(("approved", "rejected", "archived")),
    )
    def judge(self, name: str, number: int, status: str) -> None:
        model = self.live.get(name, Plain())
        now = model.status.get(number)
        following = {"registered": {"approved", "rejected", "archived"},
                     "approved": {"rejected", "archived"}, "rejected": {"archived"}}  # fmt: skip
        fits = now == status or status in following.get(now or "", set())
        blocked = status not in (now, "approved") and number in model.aliases.values()
        act = lambda: self.registry.versions.judge(name, number, status, Because("so"))  # noqa: E731
        if self.attempt(now is not None and fits and not blocked, act):
            model.status[number] = status

    @rule(
        name=st.sampled_from(NAMES),
        alias=st.sampled_from(ALIASES),
        number=NUMBERS,
        expected=st.one_of(st.none(), NUMBERS, st.just(ANYTHING), st.just("seen")),
    )
    def move(self, name: str, alias: str, number: int, expected) -> None:
        model = self.live.get(name, Plain())
        now = model.aliases.get(alias)
        if expected == "seen" and name in self.live:
            expected = self.registry.aliases.get(name, alias)
        believed = expected in (ANYTHING, now) or not isinstance(expected, int | None)
        fit = model.status.get(number) in {"registered", "approved"}
        move = self.registry.aliases.move
        allowed = believed and fit and expected != "seen"
        done = self.attempt(allowed, lambda: move(name, alias, to=number, expected=expected))
        if done and now != number:
            model.point(alias, number)

    @rule(name=st.sampled_from(NAMES), alias=st.sampled_from(ALIASES))
    def roll_back(self, name: str, alias: str) -> None:
        model = self.live.get(name, Plain())
        to = model.back(alias)
        act = lambda: self.registry.aliases.rollback(name, alias, expected=ANYTHING)  # noqa: E731
        if self.attempt(to is not None, act):
            model.point(alias, to)

    @rule(name=st.sampled_from(NAMES), alias=st.sampled_from(ALIASES))
    def remove(self, name: str, alias: str) -> None:
        act = lambda: self.registry.aliases.remove(name, alias, expected=ANYTHING)  # noqa: E731
        if self.attempt(name in self.live, act) and alias in self.live[name].aliases:
            self.live[name].point(alias, None)

    @rule(name=st.sampled_from(NAMES), number=NUMBERS, forced=st.booleans())
    def delete_version(self, name: str, number: int, forced: bool) -> None:
        model = self.live.get(name, Plain())
        allowed = number in model.status and (forced or number not in model.aliases.values())
        delete = self.registry.versions.delete
        if self.attempt(allowed, lambda: delete(name, number, with_aliases=forced)):
            model.unpoint(number)
            model.gone[number] = model.status.pop(number)

    @rule(name=st.sampled_from(NAMES), number=NUMBERS, purge=st.booleans())
    def bring_back_version(self, name: str, number: int, purge: bool) -> None:
        model = self.live.get(name, Plain())
        act = self.registry.versions.purge if purge else self.registry.versions.restore
        if self.attempt(number in model.gone, lambda: act(name, number)):
            status = model.gone.pop(number)
            if not purge:
                model.status[number] = status

    @rule(name=st.sampled_from(NAMES), forced=st.booleans())
    def delete_model(self, name: str, forced: bool) -> None:
        allowed = name in self.live and (forced or not self.live[name].aliases)
        delete = self.registry.models.delete
        if self.attempt(allowed, lambda: delete(name, with_aliases=forced)):
            model = self.live.pop(name)
            model.unpoint()
            self.ws.clock.forward(seconds=1)  # which of two was deleted last is told by time
            self.deleted.setdefault(name, []).append(model)

    @precondition(lambda self: self.deleted)
    @rule(name=st.sampled_from(NAMES))
    def restore_model(self, name: str) -> None:
        free = name.lower() not in {one.lower() for one in self.live}
        there = bool(self.deleted.get(name))
        if self.attempt(free and there, lambda: self.registry.models.restore(name)):
            self.live[name] = self.deleted[name].pop()

    @invariant()
    def the_registry_is_what_the_plain_model_says(self) -> None:
        assert {m.name for m in self.registry.models.search().items} == set(self.live)
        for name, model in self.live.items():
            assert self.registry.models.get(name).aliases == model.aliases
            for alias in ALIASES:
                moves = [m.after for m in self.registry.aliases.history(name, alias)[::-1]]
                assert moves == model.moves.get(alias, [])
        found = {v.address: v.status for v in self.registry.versions.search(Query(limit=500)).items}
        assert found == {
            f"{name}/{number}": status
            for name, model in self.live.items()
            for number, status in model.status.items()
        }


TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("address", ["x", "x@y", "x/1"])
def test_every_refusal_says_what_to_do_next(registry: Registry, address: str):
    """A missing model is named with a dotted code and a hint."""
    with pytest.raises(NotFound) as refused:
        registry.aliases.resolve(address)
    assert refused.value.code == "registry.model_not_found"
    assert refused.value.hint
