"""Cards and comparisons: made of what is on record, rendered literally."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_workspace import Workspace, package

from mainspring.core.actor import Actor
from mainspring.core.digest import canonical_json
from mainspring.core.events import ref
from mainspring.registry.card import Card
from mainspring.registry.details import Details
from mainspring.registry.facts import DataUsed, Facts, Measured, Purpose, Verdict
from mainspring.registry.markdown import card_markdown, text
from mainspring.registry.types import Because

FACTS = Facts(
    purpose=Purpose(objective="Warn early", questions=("Late by 15 min?",), target="arrival_delay"),
    data=(DataUsed(ref=ref("dataset", "flights@3"), rows=26_483, until="2013-04-30"),),
    learner="gradient_boosting",
    parameters={"trees": 300, "rate": 0.05},
    metrics=(
        Measured(metric="auc", value=0.751, low=0.741, high=0.762, confidence=0.95, rows=9_000),
        Measured(metric="auc", value=0.702, reference="baseline", rows=9_000),
        Measured(metric="auc", value=0.68, group="carrier=HA", rows=600),
    ),
    gates=(Verdict(gate="beats_baseline", passed=True, value=0.049, required="low > 0"),),
    limits=("Not for cancelled flights.",),
    code={"commit": "0a3d948"},
)


@pytest.fixture
def card(ws: Workspace) -> Card:
    ws.registry.models.register("late")
    ws.registry.versions.create("late", *package(), details=Details(facts=FACTS))
    because = Because("all gates passed", Actor("ada"))
    ws.registry.versions.judge("late", 1, "approved", because)
    ws.registry.aliases.move("late", "champion", to=1, expected=None)
    return ws.registry.packages.card("late", 1)


def test_every_number_on_the_card_is_a_recorded_one(card: Card):
    """Metrics with intervals, slices, gates, costs, data and parameters as they were recorded."""
    assert (*card.metrics, *card.slices) == FACTS.metrics
    assert [one.group for one in card.slices] == ["carrier=HA"]
    assert (card.gates, card.data, card.limits) == (FACTS.gates, FACTS.data, FACTS.limits)
    assert card.training.parameters == FACTS.parameters
    assert (card.decision.threshold, card.decision.false_negative) == (0.25, 4.0)
    assert card.lineage == ("dataset:flights@3",)
    assert (card.model.status, card.model.aliases) == ("approved", ("champion",))
    assert [(one.after, one.actor, one.why) for one in card.history] == [
        ("approved", "person:ada", "all gates passed")
    ]
    assert card.open == ()


def test_the_same_record_gives_the_same_card(ws: Workspace, card: Card):
    """Made again at another time, byte for byte; and it reads back as it is."""
    ws.clock.forward(days=30)
    again = canonical_json(ws.registry.packages.card("late", 1))
    assert again == canonical_json(card)
    assert msgspec.json.decode(again, type=Card) == card


def test_what_nobody_recorded_is_listed_as_open(ws: Workspace):
    """A gap is seen: no purpose, data or limits are invented; the manifest's metrics are used."""
    ws.registry.models.register("late")
    ws.registry.versions.create("late", *package())
    bare = ws.registry.packages.card("late", 1)
    assert bare.open == (
        "purpose.objective", "purpose.questions", "purpose.target", "data", "limits",
    )  # fmt: skip
    assert [(one.metric, one.value) for one in bare.metrics] == [("auc", 0.75)]
    assert "| Not recorded | limits |" in card_markdown(bare)


def test_the_markdown_card_shows_what_the_card_holds(card: Card):
    """Every section a reader looks for, with its numbers."""
    shown = card_markdown(card)
    for line in (
        "# late/1",
        "| Status | approved: all gates passed |",
        "| Objective | Warn early |",
        "| auc | model | test | 0.751 | 0.741 to 0.762 | 9000 |",
        "| auc | baseline | test | 0.702 |  | 9000 |",
        "| beats\\_baseline | passed | 0.049 | low &gt; 0 |  |",
        "| Threshold | 0.25 |",
        "| Parameter trees | 300 |",
        "| dataset:flights@3 | training | 26483 |  | 2013\\-04\\-30 |  |",
        "| Signature | not signed |",
    ):
        assert line in shown.splitlines(), line


@given(st.text())
def test_recorded_text_is_shown_literally(recorded: str):
    """No text starts markup, HTML, a link or another table cell."""
    shown = text(recorded)
    assert "<" not in shown
    assert "\n" not in shown
    bare = shown.replace("\\\\", "")
    for letter in "|`*_[]>":
        assert all(bare[at - 1] == "\\" for at, one in enumerate(bare) if one == letter)


def test_a_comparison_names_what_differs(ws: Workspace):
    """Parameters, metrics, data, inputs, decision and environment; nothing that is the same."""
    ws.registry.models.register("late")
    ws.registry.versions.create("late", *package(), details=Details(facts=FACTS))
    changed = msgspec.structs.replace(
        FACTS, parameters={"trees": 500, "rate": 0.05}, metrics=FACTS.metrics[:1]
    )
    manifest, files = package(
        environment={"numpy": "2.5.0"}, used=(ref("dataset", "flights@4"),), metrics={"auc": 0.76}
    )
    ws.registry.versions.create("late", manifest, files, details=Details(facts=changed))
    found = {
        (d.section, d.key): (d.before, d.after) for d in ws.registry.packages.diff("late", 1, 2)
    }
    assert found == {
        ("parameters", "trees"): (300, 500),
        ("metrics", "auc"): (0.75, 0.76),
        ("metrics", "auc (baseline test)"): (0.702, None),
        ("metrics", "auc (test carrier=HA)"): (0.68, None),
        ("data", "dataset:flights@4"): (None, "used"),
        ("environment", "numpy"): ("2.4.0", "2.5.0"),
    }
    assert ws.registry.packages.diff("late", 1, 1) == []
