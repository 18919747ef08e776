"""Bootstrap intervals cover, respect clusters and repeat byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.errors import Invalid
from mainspring.problem.types import MetricName
from mainspring.training.bootstrap import (
    bootstrap,
    cluster_index,
    clusters_of,
    draw_counts,
    interval,
    p_value,
    statistic_of,
)
from mainspring.training.estimate import Estimate
from mainspring.training.metrics import Measure, checked, metric


def sample(seed: int, n: int = 400, days: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and day of each row."""
    random = np.random.default_rng(seed)
    y = (random.random(n) < 0.3).astype(float)
    p = np.round(np.clip(random.normal(0.3 + 0.2 * y, 0.2), 0.01, 0.99), 2)
    return y, p, random.integers(0, days, n)


@pytest.mark.parametrize("name", ["auc", "log_loss", "brier", "cost_per_1000"])
@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_a_draw_is_the_metric_of_the_repeated_rows(name: MetricName, seed: int) -> None:
    """The fast sums and the one-pass AUC equal the metric of rows truly repeated."""
    y, p, day = sample(seed, n=60)
    measure = Measure(name=name)
    index, count = cluster_index(day, y.size)
    one = statistic_of(measure, *checked(measure, y, p), index, count)
    for counts in draw_counts(count, draws=3, seed=seed):
        repeated = np.repeat(np.arange(y.size), counts[index])
        expected = metric(measure, y[repeated], p[repeated])
        assert one(counts) == pytest.approx(np.nan if expected is None else expected, nan_ok=True)


@pytest.mark.parametrize("name", ["mae", "rmse", "r2"])
def test_a_draw_is_the_metric_of_the_repeated_rows_for_numbers(name: MetricName) -> None:
    """The same promise for regression, r2 with its changing mean included."""
    y, p, day = sample(5)
    y = 1000 + 3 * p + y
    measure = Measure(name=name, task="regression")
    index, count = cluster_index(day, y.size)
    one = statistic_of(measure, *checked(measure, y, 1000 + 3 * p), index, count)
    for counts in draw_counts(count, draws=20, seed=1):
        repeated = np.repeat(np.arange(y.size), counts[index])
        assert one(counts) == pytest.approx(metric(measure, y[repeated], 1000 + 3 * p[repeated]))


def test_same_seed_same_bytes_and_any_row_order() -> None:
    """Equal input and seed give equal bytes; the AUC does not even depend on the rows' order."""
    y, p, day = sample(1)
    measure = Measure(name="auc")
    first = bootstrap(measure, y, p, day, seed=7)
    assert msgspec.json.encode(first) == msgspec.json.encode(bootstrap(measure, y, p, day, seed=7))
    turned = bootstrap(measure, y[::-1], p[::-1], day[::-1], seed=7)
    assert turned == first
    assert bootstrap(measure, y, p, day, seed=8) != first
    assert msgspec.json.decode(msgspec.json.encode(first), type=Estimate) == first


def test_text_ids_name_clusters_too() -> None:
    """A customer's name serves as well as a number when the order is the same."""
    y, p, day = sample(2)
    names = np.array([f"day-{d:02}" for d in day])
    measure = Measure(name="brier")
    assert bootstrap(measure, y, p, names, seed=1) == bootstrap(measure, y, p, day, seed=1)


def test_intervals_of_few_clusters_cover_as_promised() -> None:
    """With 12 dependent days, 90 % intervals hold the truth in 84 to 96 % of 400 worlds."""
    random = np.random.default_rng(11)
    held = 0
    measure = Measure(name="mae", task="regression")
    for world in range(400):
        errors = np.abs(random.normal(1, 0.3, 12)).repeat(20) + random.exponential(1.0, 240)
        day = np.arange(12).repeat(20)
        one = bootstrap(measure, np.zeros(240), errors, day, draws=200, seed=world, confidence=0.9)
        assert one.low is not None
        assert one.high is not None
        truth = 2.0 + 2 * 0.3 * 0.000_05  # folding at zero moves the mean by less than 1e-4
        held += one.low <= truth <= one.high
    assert 0.84 * 400 <= held <= 0.96 * 400


def test_dependent_rows_widen_the_interval() -> None:
    """Copying every row of a day ten times adds no evidence when days are drawn."""
    y, p, day = sample(3)
    measure = Measure(name="auc")
    once = bootstrap(measure, y, p, day, seed=1)
    often = bootstrap(measure, y.repeat(10), p.repeat(10), day.repeat(10), seed=1)
    assert (often.low, often.high) == (once.low, once.high)


def test_undefined_is_none() -> None:
    """One class has no AUC, one cluster no interval, and mostly undefined draws no interval."""
    measure = Measure(name="auc")
    nothing = bootstrap(measure, [1, 1], [0.1, 0.2])
    assert (nothing.value, nothing.low, nothing.high, nothing.draws) == (None, None, None, 0)
    single = bootstrap(measure, [0, 1], [0.1, 0.2], [5, 5])
    assert (single.value, single.low, single.clusters) == (1.0, None, 1)
    assert interval(np.array([1.0, np.nan, np.nan]), 5, 0.9) == (None, None, 1)
    assert p_value(np.array([1.0, np.nan, np.nan]), 5) is None


def test_p_value_agrees_with_the_interval() -> None:
    """Evidence below 1 - confidence and an interval without zero are the same statement."""
    random = np.random.default_rng(0)
    agreed = 0
    for _ in range(200):
        values = random.normal(random.uniform(0, 4), 1.0, 400)
        low, high, _ = interval(values, 14, 0.9)
        p = p_value(values, 14)
        assert p is not None
        assert low is not None
        assert high is not None
        agreed += (p < 0.1) == (low > 0 or high < 0)
    assert agreed >= 196
    assert p_value(np.array([-1.0, 1.0]), 14) == 1.0


def test_far_tails_do_not_stop_at_the_last_draw() -> None:
    """At 99.9 % with 200 draws the interval reaches beyond every draw, and p goes on falling."""
    values = np.random.default_rng(0).normal(5.0, 1.0, 200)
    low, high, _ = interval(values, 50, 0.999)
    assert low is not None
    assert high is not None
    assert low < values.min()
    assert high > values.max()
    p = p_value(values + 5, 50)
    assert p is not None
    assert 0.0 < p < 1 / 200
    assert p_value(np.zeros(200), 50) == 1.0


def test_bad_confidence_and_no_draws_are_refused() -> None:
    """Percent instead of a share, and a bootstrap of nothing, are typed errors."""
    y, p, day = sample(1)
    with pytest.raises(Invalid, match="between 0 and 1"):
        bootstrap(Measure(name="auc"), y, p, day, confidence=95)
    with pytest.raises(Invalid, match="needs draws"):
        bootstrap(Measure(name="auc"), y, p, day, draws=0)


def test_days_and_weeks_start_at_midnight_and_on_monday() -> None:
    """2013-06-09 is a Sunday, the day after starts a new week."""
    times = np.array(
        ["2013-06-09T23:59", "2013-06-10T00:00", "2013-06-16T12:00"], dtype="datetime64[us]"
    )
    assert np.diff(clusters_of(times, "day")).tolist() == [1, 6]
    assert np.diff(clusters_of(times, "week")).tolist() == [1, 0]
    assert clusters_of(times, "row").tolist() == [0, 1, 2]
    with pytest.raises(Invalid, match="no day"):
        clusters_of(np.array(["NaT"], dtype="datetime64[us]"), "day")


def test_the_auc_bootstrap_does_not_sort_again() -> None:
    """200 draws on 50,000 rows cost less than 60 times the single AUC, so no draw sorts."""
    y, p, day = sample(1, n=50_000, days=60)
    p = p + np.arange(p.size) * 1e-9
    measure = Measure(name="auc")
    start = time.process_time()
    for _ in range(5):
        metric(measure, y, p)
    single = (time.process_time() - start) / 5
    start = time.process_time()
    bootstrap(measure, y, p, day, draws=200)
    assert time.process_time() - start < 60 * single


def test_the_number_of_threads_changes_no_byte() -> None:
    """Two processes with one and with four threads for linear algebra print the same digest."""
    program = (
        "import hashlib, msgspec, numpy as np\n"
        "from mainspring.training.evaluation import Judging, evaluate\n"
        "random = np.random.default_rng(1)\n"
        "p = random.random(30_000); y = (random.random(30_000) < p) * 1.0\n"
        "report = evaluate(y, p, random.integers(0, 50, 30_000), judging=Judging(draws=20))\n"
        "print(hashlib.sha256(msgspec.json.encode(report)).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OPENBLAS_NUM_THREADS": n, "OMP_NUM_THREADS": n},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for n in ("1", "4")
    }
    assert len(digests) == 1
