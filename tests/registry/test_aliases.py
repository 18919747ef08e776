"""Aliases: compare-and-set, history, past moments, rolling back, and many at once."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from registry_workspace import START, Workspace, publish, workspace_at

from mainspring.core.actor import Actor
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.registry.service import Registry
from mainspring.registry.types import ANYTHING, Because


def test_a_move_is_made_only_from_where_the_caller_believes_it_to_be(registry: Registry):
    """A wrong expectation, by number or by revision, moves nothing and says where it is."""
    publish(registry, "late", 3)
    registry.aliases.move("late", "champion", to=1, expected=None)
    seen = registry.aliases.get("late", "champion")
    registry.aliases.move("late", "champion", to=2, expected=seen)
    for stale in (seen, 1, None):
        with pytest.raises(Conflict) as refused:
            registry.aliases.move("late", "champion", to=3, expected=stale)
        assert refused.value.code == "registry.alias_moved"
        assert refused.value.facts["version"] == 2
    assert registry.aliases.get("late", "champion").version == 2


def test_an_alias_that_went_away_and_came_back_is_not_the_same(registry: Registry):
    """An :class:`Alias` read before a detour is refused though the version is the same again."""
    publish(registry, "late", 2)
    registry.aliases.move("late", "champion", to=1, expected=None)
    seen = registry.aliases.get("late", "champion")
    registry.aliases.move("late", "champion", to=2, expected=1)
    registry.aliases.move("late", "champion", to=1, expected=2)
    with pytest.raises(Conflict):
        registry.aliases.move("late", "champion", to=2, expected=seen)


def test_history_says_who_when_why_and_on_what_evidence(ws: Workspace):
    """Each move is one entry, newest first, tied to its event."""
    publish(ws.registry, "late", 2)
    why = Because("beats it in March", Actor("ada"), {"p": 0.01})
    ws.registry.aliases.move("late", "champion", to=1, expected=None)
    later = ws.clock.forward(days=3)
    ws.registry.aliases.move("late", "champion", to=2, expected=1, because=why)
    newest, oldest = ws.registry.aliases.history("late", "champion")
    assert (newest.before, newest.after, newest.revision) == (1, 2, 2)
    assert (newest.actor, newest.why, newest.evidence) == ("person:ada", why.why, {"p": 0.01})
    assert (newest.time, oldest.time) == (later, START)
    event = ws.events[newest.sequence - 1]
    assert event.used == ("model:late/2",)
    assert event.generated == ("release:late@champion/2",)


def test_any_past_moment_has_its_answer(ws: Workspace):
    """``live_at`` is what the alias pointed at then: before, between, after and once removed."""
    publish(ws.registry, "late", 2)
    aliases = ws.registry.aliases
    aliases.move("late", "champion", to=1, expected=None)
    second = ws.clock.forward(days=1)
    aliases.move("late", "champion", to=2, expected=1)
    third = ws.clock.forward(days=1)
    aliases.remove("late", "champion", expected=2)
    instant = timedelta(microseconds=1)
    moments = [START - instant, START, second - instant, second, third - instant, third]
    assert [aliases.live_at("late", "champion", at) for at in moments] == [None, 1, 1, 2, 2, None]


def test_a_clock_that_goes_back_does_not_change_the_past(ws: Workspace):
    """A move made while the clock is an hour slow still comes after the one before it."""
    publish(ws.registry, "late", 2)
    ws.registry.aliases.move("late", "champion", to=1, expected=None)
    ws.clock.forward(hours=-1)
    ws.registry.aliases.move("late", "champion", to=2, expected=1)
    assert ws.registry.aliases.live_at("late", "champion", START) == 2
    assert ws.registry.aliases.live_at("late", "champion", ws.clock.now()) is None


def test_a_move_to_where_it_is_changes_nothing(ws: Workspace):
    """No entry and no event; the move that brought it there is returned."""
    publish(ws.registry, "late", 1)
    first = ws.registry.aliases.move("late", "champion", to=1, expected=None)
    before = len(ws.events)
    assert ws.registry.aliases.move("late", "champion", to=1, expected=ANYTHING) == first
    assert len(ws.events) == before


def test_a_move_repeated_after_a_crash_is_made_once(ws: Workspace):
    """The same key again gives the first move, though the alias is no longer where it was."""
    publish(ws.registry, "late", 3)
    aliases = ws.registry.aliases
    aliases.move("late", "champion", to=1, expected=None)
    promote = Because("better", key="challenge-7/promote")
    first = aliases.move("late", "champion", to=2, expected=1, because=promote)
    assert aliases.move("late", "champion", to=2, expected=1, because=promote) == first
    undo = Because("worse", key="challenge-7/undo")
    back = aliases.rollback("late", "champion", expected=2, because=undo)
    assert aliases.rollback("late", "champion", expected=2, because=undo) == back
    assert aliases.move("late", "champion", to=2, expected=1, because=promote) == first
    with pytest.raises(Conflict):
        aliases.move("late", "champion", to=3, expected=2, because=Because(key="another"))
    assert [move.after for move in aliases.history("late", "champion")] == [1, 2, 1]


def test_rolling_back_goes_to_the_version_before_and_on(registry: Registry):
    """Twice back is two versions back, never to what was just left."""
    publish(registry, "late", 3)
    for number in (1, 2, 3):
        registry.aliases.move("late", "champion", to=number, expected=ANYTHING)
    assert registry.aliases.rollback("late", "champion", expected=3).after == 2
    assert registry.aliases.rollback("late", "champion", expected=2).after == 1
    with pytest.raises(Conflict) as refused:
        registry.aliases.rollback("late", "champion", expected=1)
    assert refused.value.code == "registry.nothing_before"


def test_rolling_back_passes_over_what_was_rejected_since(registry: Registry):
    """A version that must not serve is no place to go back to."""
    publish(registry, "late", 3)
    for number in (1, 2, 3):
        registry.aliases.move("late", "champion", to=number, expected=ANYTHING)
    registry.versions.judge("late", 2, "rejected", Because("leaks the label"))
    assert registry.aliases.rollback("late", "champion", expected=3).after == 1


def test_an_alias_points_only_at_what_may_be_released(registry: Registry):
    """A version that is missing, rejected, archived or deleted gets no alias."""
    publish(registry, "late", 3)
    registry.versions.judge("late", 1, "rejected", Because("a gate said no"))
    registry.versions.judge("late", 2, "archived")
    registry.versions.delete("late", 3)
    for number in (1, 2):
        with pytest.raises(Conflict) as refused:
            registry.aliases.move("late", "champion", to=number, expected=None)
        assert refused.value.code == "registry.not_releasable"
    for number in (3, 4, 0, -1, 2**63):
        with pytest.raises(NotFound):
            registry.aliases.move("late", "champion", to=number, expected=None)


def test_what_is_live_is_not_taken_away(registry: Registry):
    """Rejecting, archiving or deleting needs the alias moved first; or says so on deleting."""
    publish(registry, "late", 1)
    registry.aliases.move("late", "champion", to=1, expected=None)
    for change in ("rejected", "archived"):
        with pytest.raises(Conflict) as refused:
            registry.versions.judge("late", 1, change, Because("old"))
        assert refused.value.code == "registry.version_live"
    with pytest.raises(Conflict):
        registry.versions.delete("late", 1)
    registry.versions.delete("late", 1, with_aliases=True)
    assert registry.aliases.get("late", "champion").version is None
    assert registry.aliases.history("late", "champion")[0].after is None


@pytest.mark.parametrize(
    "alias", ["", "latest", "Latest", "v1", "V22", "a b", "a/b", "a\n", "x" * 256]
)
def test_aliases_keep_to_the_rules_of_the_wire(registry: Registry, alias: str):
    """Word characters and dashes; not ``latest``, not ``v`` with a number."""
    with pytest.raises(Invalid) as refused:
        registry.aliases.get("late", alias)
    assert refused.value.code == "registry.bad_alias"


def test_every_way_of_naming_a_version_finds_it(registry: Registry):
    """By number, by alias, and the newest when neither is said; a wrong alias names the right."""
    publish(registry, "late", 3)
    registry.aliases.move("late", "champion", to=2, expected=None)
    found = [
        registry.aliases.resolve(a).number
        for a in ("late/1", "late@champion", "late", "late/latest")
    ]
    assert found == [1, 2, 3, 3]
    with pytest.raises(NotFound, match="Did you mean 'champion'"):
        registry.aliases.resolve("late@champoin")
    for bad in ("late/0", "late/x", "late/-1", "late/99999999999"):
        with pytest.raises(Invalid):
            registry.aliases.resolve(bad)


def test_of_fifty_at_once_exactly_one_wins_each_revision(tmp_path: Path):
    """Fifty threads move, roll back and remove one alias; wins, entries and events are one list.

    Every thread acts on what it has just read. No revision is missing or given twice, each entry
    starts where the one before ended, and the record holds the same moves in the same order.
    """
    ws = workspace_at(tmp_path / "db.sqlite")
    publish(ws.registry, "late", 5)
    aliases = ws.registry.aliases
    wins: list[int] = []
    start = threading.Barrier(50)

    def contend(seed: int) -> None:
        start.wait()
        for turn in range(6):
            seen = aliases.get("late", "champion")
            because = Because(f"thread {seed}")
            try:
                if seed % 5 == 0:
                    move = aliases.remove("late", "champion", expected=seen, because=because)
                elif seed % 5 == 1:
                    move = aliases.rollback("late", "champion", expected=seen, because=because)
                else:
                    to = 1 + ((seen.version or 0) + seed + turn) % 5
                    move = aliases.move("late", "champion", to=to, expected=seen, because=because)
            except Conflict:
                continue
            if move is not None and move.revision == seen.revision + 1:
                wins.append(move.revision)

    threads = [threading.Thread(target=contend, args=(seed,)) for seed in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = aliases.history("late", "champion")[::-1]
    assert len(wins) >= 6
    assert sorted(wins) == [move.revision for move in entries] == list(range(1, len(entries) + 1))
    assert [move.before for move in entries[1:]] == [move.after for move in entries[:-1]]
    told = [event for event in ws.events if event.subject == "alias:late@champion"]
    assert [event.facts["revision"] for event in told] == sorted(wins)
    assert aliases.get("late", "champion").version == entries[-1].after
    ws.database.close()
