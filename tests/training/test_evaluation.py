"""A report holds every metric of its task, is plain JSON, and slices add up."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from mainspring.core.errors import Invalid
from mainspring.training.evaluation import Evaluation, Judging, evaluate, slices
from mainspring.training.metrics import auc, brier

RANDOM = np.random.default_rng(1)
P = RANDOM.beta(2, 5, 900)
Y = (RANDOM.random(900) < P).astype(float)
DAY = RANDOM.integers(0, 20, 900)
JUDGING = Judging(draws=60, seed=3)


def test_a_binary_report_is_whole_and_plain_json() -> None:
    """Four metrics with intervals, three curves, and a round trip through JSON byte for byte."""
    report = evaluate(Y, P, DAY, judging=JUDGING)
    assert set(report.metrics) == {"auc", "log_loss", "brier", "cost_per_1000"}
    assert report.metrics["auc"].value == auc(Y, P)
    assert set(report.curves) == {"roc", "precision_recall", "gains"}
    data = msgspec.json.encode(report)
    assert msgspec.json.encode(msgspec.json.decode(data, type=Evaluation)) == data
    assert msgspec.json.encode(evaluate(Y, P, DAY, judging=JUDGING)) == data
    assert b"NaN" not in data
    for one in report.metrics.values():
        assert one.low is not None
        assert one.high is not None
        assert one.value is not None
        assert one.low <= one.value <= one.high


def test_scores_that_are_no_probabilities_are_judged_by_order_and_cost() -> None:
    """A margin classifier gets its AUC and no calibration."""
    report = evaluate(Y, 5 * P - 1, DAY, judging=JUDGING)
    assert set(report.metrics) == {"auc", "cost_per_1000"}
    assert (report.calibration, report.calibration_error) == ([], None)


def test_one_class_has_metrics_but_no_curves() -> None:
    """The AUC is None and the rest of the report stands."""
    report = evaluate(np.ones(50), P[:50], DAY[:50], judging=JUDGING)
    assert report.metrics["auc"].value is None
    assert report.metrics["brier"].value is not None
    assert report.curves == {}


def test_a_regression_report_has_no_curves() -> None:
    """Errors and cost, nothing of classes."""
    report = evaluate(Y + P, P, DAY, judging=Judging(task="regression", draws=60))
    assert set(report.metrics) == {"mae", "rmse", "r2", "cost_per_1000"}
    assert (report.confusion, report.curves) == (None, {})


def test_slices_are_the_metric_of_each_group() -> None:
    """Each group's value is its own; small groups are named but not judged; None has a name."""
    groups = np.where(np.arange(900) % 3 == 0, "AA", "BB").astype(object)
    groups[:5], groups[5:8] = None, "tiny"
    found = slices("brier", Y, P, groups, judging=JUDGING, clusters=DAY)
    assert [one.group for one in found] == ["BB", "AA", "(missing)", "tiny"]
    assert sum(one.n for one in found) == 900
    assert found[0].estimate is not None
    assert found[0].estimate.value == brier(Y[groups == "BB"], P[groups == "BB"])
    assert found[3].estimate is None


def test_a_key_is_not_a_group() -> None:
    """Slicing by an id would give one row per slice, so it is refused."""
    with pytest.raises(Invalid, match="900 groups"):
        slices("auc", Y, P, np.arange(900), judging=JUDGING, most_groups=100)
