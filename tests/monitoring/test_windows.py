from datetime import UTC, datetime

import pytest

from mainspring.monitoring.types import Monitor
from mainspring.monitoring.windows import Broken, Drifted, Window, judge, persistent
from mainspring.training.estimate import Estimate


def estimate(value, low, high):
    return Estimate(value=value, low=low, high=high, n=900, clusters=7, draws=100, confidence=0.9)


def window(*, rows=1000, labelled=900, auc=(0.7, 0.68, 0.72), drift=(), quality=()):
    return Window(
        endpoint="e",
        start=datetime(2021, 1, 1, tzinfo=UTC),
        end=datetime(2021, 1, 8, tzinfo=UTC),
        model="m",
        versions=(1,),
        rows=rows,
        labelled=labelled,
        metrics={"auc": estimate(*auc)},
        drift=tuple(drift),
        quality=tuple(quality),
    )


def broken(monitor, seen, evaluated=None):
    return [b.monitor for b in judge({"rule": monitor}, seen, evaluated or {"auc": 0.8})]


@pytest.mark.parametrize(
    ("seen", "alerts"),
    [
        (window(auc=(0.70, 0.68, 0.72)), True),
        (window(auc=(0.70, 0.60, 0.81)), False),
        (window(auc=(0.79, 0.78, 0.795)), False),
        (window(labelled=100), False),
        (window(rows=100, labelled=90), False),
    ],
    ids=["surely fell", "maybe noise", "too little", "few labels", "few rows"],
)
def test_a_drop_alerts_only_when_it_matters_and_is_sure(seen, alerts):
    """A fall counts when larger than allowed, beyond the interval, on enough labelled rows."""
    rule = Monitor(watch="performance", metric="auc", drop=0.05)
    assert bool(broken(rule, seen)) == alerts


def test_drift_needs_effect_and_significance():
    """A large but unsure distance, and a sure but tiny one, both pass."""
    rule = Monitor(watch="drift", effect=0.1, significance=0.01)
    for effect, p, alerts in ((0.3, 0.001, True), (0.3, 0.2, False), (0.02, 1e-9, False)):
        moved = Drifted(name="x", effect=effect, significance=p, rows=900)
        assert bool(broken(rule, window(drift=[moved]))) == alerts


def test_quality_counts_broken_checks_against_what_is_allowed():
    """One broken check alerts where none is allowed, and not where one is."""
    found = Broken(name="x", check="nulls", observed=0.4, expected=0.0, significance=1e-9)
    for allowed, alerts in ((0.0, True), (1.0, False)):
        rule = Monitor(watch="quality", at_most=allowed)
        assert bool(broken(rule, window(quality=[found]))) == alerts


def test_a_silent_endpoint_alerts():
    """No data is an alert of the volume, and of nothing else."""
    empty = window(rows=0, labelled=0)
    assert broken(Monitor(watch="volume", at_least=10), empty)
    assert not broken(Monitor(watch="performance", metric="auc", drop=0.01), empty)


def test_patience_asks_for_windows_in_a_row():
    """A rule with patience 3 is broken for good in the third window, not after a gap."""
    rule = Monitor(watch="drift", patience=3)
    yes, no = frozenset({"rule"}), frozenset()
    assert persistent(rule, "rule", [yes, yes])
    assert not persistent(rule, "rule", [yes])
    assert not persistent(rule, "rule", [yes, no, yes])
