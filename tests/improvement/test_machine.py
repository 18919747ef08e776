from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.improvement.machine import ARROWS, FINAL, Challenge, Live, due, next_move
from mainspring.improvement.types import CanaryStep, Release, Retraining

NOW = datetime(2013, 6, 1, tzinfo=UTC)
RULES = Release(
    shadow="3d",
    canary=(CanaryStep(share=0.2, hold="2d"), CanaryStep(share=0.5, hold="2d")),
    worse_by=0.02,
    min_rows=100,
)


def challenge(state="shadow", *, since=NOW - timedelta(days=4), step=0):
    return Challenge(
        id=1,
        endpoint="late",
        model="late",
        trigger="alert:auc",
        champion=1,
        challenger=2,
        state=state,
        step=step,
        opened=since,
        since=since,
    )


def live(difference=0.01, *, rows=1000, spread=0.01, healthy=True):
    return Live(
        rows=rows,
        difference=difference,
        low=difference - spread,
        high=difference + spread,
        healthy=healthy,
        metric="auc",
    )


def test_a_challenger_walks_from_shadow_through_every_canary_step_to_promotion():
    """Good evidence and enough time lead through each stage in order, never past one."""
    seen, at = [], challenge()
    while at.open:
        move = next_move(at, RULES, live(), NOW)
        assert move is not None
        assert move.to in ARROWS[at.state]
        seen.append((move.to, move.step))
        at = msgspec.structs.replace(at, state=move.to, step=move.step)
    assert seen == [("canary", 0), ("canary", 1), ("promoted", 0)]


@pytest.mark.parametrize(("state", "end"), [("shadow", "withdrawn"), ("canary", "rolled_back")])
def test_a_clearly_worse_challenger_is_stopped_before_its_time_is_over(state, end):
    """Bad news is acted on at once."""
    early = challenge(state, since=NOW - timedelta(minutes=1))
    assert next_move(early, RULES, live(-0.1), NOW).to == end


def test_an_unhealthy_challenger_is_stopped_without_any_label():
    """A model that fails needs no statistics."""
    move = next_move(challenge("canary"), RULES, live(rows=0, healthy=False), NOW)
    assert move.to == "rolled_back"


def test_a_stage_is_never_passed_without_enough_labelled_rows():
    """Time alone does not promote."""
    assert next_move(challenge(), RULES, live(rows=99), NOW + timedelta(days=365)) is None


@given(
    difference=st.floats(-0.5, 0.5),
    spread=st.floats(0, 0.5),
    rows=st.integers(0, 10_000),
    age=st.integers(0, 30),
    state=st.sampled_from(["shadow", "canary"]),
)
def test_worse_than_allowed_is_never_promoted(difference, spread, rows, age, state):
    """Whatever the evidence, no arrow leads onward from a difference below the margin."""
    at = challenge(state, since=NOW - timedelta(days=age))
    move = next_move(at, RULES, live(difference, rows=rows, spread=spread), NOW)
    if move is not None:
        assert move.to in ARROWS[state]
        if difference < -RULES.worse_by:
            assert move.to in {"withdrawn", "rolled_back"}


def test_final_states_have_no_arrows():
    """What ended stays ended."""
    assert not FINAL & set(ARROWS)


def test_an_alert_opens_a_challenge_only_when_it_is_named_and_the_cooldown_is_over():
    """Alerts that the project did not name, and alerts too soon, do not retrain."""
    rules = Retraining(on_alerts=("auc",), cooldown="14d")
    long_ago, lately = NOW - timedelta(days=15), NOW - timedelta(days=2)
    assert due(rules, last=long_ago, now=NOW, alerts=("auc",)) == ("alert:auc", None)
    assert due(rules, last=lately, now=NOW, alerts=("auc",)) == (None, "alert:auc")
    assert due(rules, last=long_ago, now=NOW, alerts=("drift",)) == (None, None)


@pytest.mark.parametrize(
    ("every", "last", "fires"),
    [
        ("month", datetime(2013, 5, 31, tzinfo=UTC), True),
        ("month", datetime(2013, 6, 1, tzinfo=UTC), False),
        ("week", NOW - timedelta(days=7), True),
        ("10d", NOW - timedelta(days=9), False),
        ("never", datetime(2012, 1, 1, tzinfo=UTC), False),
    ],
)
def test_the_calendar_asks_when_its_period_is_over(every, last, fires):
    """'At the latest so often' holds to the day."""
    rules = Retraining(every=every, cooldown="0s")
    assert (due(rules, last=last, now=NOW, alerts=())[0] is not None) == fires
