"""Drift is called when it is both large and sure, and only then."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mainspring.core.errors import Invalid
from mainspring.monitoring.bins import category_bins, numeric_bins
from mainspring.monitoring.distance import (
    homogeneity,
    js_divergence,
    js_expected,
    ks_two_samples,
    psi,
)
from mainspring.monitoring.drift import DriftReport, benjamini_hochberg, drift
from mainspring.monitoring.sketch import Sketch, sketch_categories, sketch_numbers

values = arrays(np.float64, st.integers(4, 80), elements=st.integers(-20, 20).map(float))
cells = st.lists(st.integers(0, 500), min_size=2, max_size=30)


def numeric(reference: np.ndarray, current: np.ndarray) -> tuple[Sketch, Sketch]:
    """Both sides in the reference's bins."""
    bins = numeric_bins(reference)
    return sketch_numbers(bins, reference), sketch_numbers(bins, current)


def categories(reference: np.ndarray, current: np.ndarray) -> tuple[Sketch, Sketch]:
    """Both sides as text."""
    bins = category_bins(map(str, reference))
    return sketch_categories(bins, map(str, reference)), sketch_categories(bins, map(str, current))


@settings(max_examples=40, deadline=None)
@given(values, values)
def test_the_exact_distance_is_scipys(a: np.ndarray, b: np.ndarray) -> None:
    """With ties and unequal sizes; and it does not matter which side is called reference."""
    distance, p = ks_two_samples(a, b)
    assert distance == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic)
    assert (distance, p) == ks_two_samples(b, a)


@settings(deadline=None)
@given(values, st.lists(st.text("abc", max_size=2), min_size=1, max_size=50))
def test_nothing_drifts_from_itself(numbers: np.ndarray, texts: list[str]) -> None:
    """drift(x, x) = 0, whatever x is, even when every threshold is at its loosest."""
    pairs = {"n": numeric(numbers, numbers), "t": categories(np.array(texts), np.array(texts))}
    report = drift(pairs, effect=1e-9, significance=0.999999, min_rows=1)
    assert report.drifted == []
    for one in report.columns:
        assert (one.effect, one.p_value, one.psi) == (0.0, 1.0, 0.0)


@settings(deadline=None)
@given(cells, st.data())
def test_the_divergence_is_scipys(left: list[int], data: st.DataObject) -> None:
    """The square of SciPy's distance, in bits, between 0 and 1."""
    right = data.draw(
        st.lists(st.integers(0, 500), min_size=len(left), max_size=len(left)).filter(any)
    )
    left[0] += 1
    a, b = np.array(left, dtype=float), np.array(right, dtype=float)
    found = js_divergence(a, b)
    assert found == pytest.approx(jensenshannon(a, b, base=2) ** 2, abs=1e-9)
    assert -1e-12 <= found <= 1 + 1e-12


@pytest.mark.parametrize("kinds", [3, 50, 1_000, 5_000])
def test_what_chance_alone_gives_is_known(kinds: int) -> None:
    """Under no change the mean divergence is the expected one within 5 %, also for rare values."""
    random = np.random.default_rng(kinds)
    share = random.dirichlet(np.ones(kinds))
    pairs = [
        (random.multinomial(2_000, share).astype(float), random.multinomial(1_500, share) * 1.0)
        for _ in range(60)
    ]
    found = np.mean([js_divergence(a, b) for a, b in pairs])
    expected = np.mean([js_expected(a, b) for a, b in pairs])
    assert found == pytest.approx(expected, rel=0.25 if kinds == 3 else 0.05)


@settings(deadline=None)
@given(cells, cells)
def test_homogeneity_is_scipys_where_cells_are_large(left: list[int], right: list[int]) -> None:
    """With at least 500 rows per cell nothing is pooled and the p-value is SciPy's."""
    size = min(len(left), len(right))
    a, b = np.array(left[:size]) + 500.0, np.array(right[:size]) + 500.0
    expected = stats.chi2_contingency(np.stack([a, b]), correction=False).pvalue
    assert homogeneity(a, b) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=40))
def test_the_correction_is_scipys(p_values: list[float]) -> None:
    """Benjamini and Hochberg's adjusted values, in the order given."""
    expected = stats.false_discovery_control(p_values).tolist() if p_values else []
    assert benjamini_hochberg(p_values) == pytest.approx(expected)


def world(seed: int, n: int, shift: float) -> DriftReport:
    """Twenty columns against 5,000 reference rows; the first is shifted."""
    random = np.random.default_rng(seed)
    pairs = {}
    for column in range(14):
        moved = shift if column == 0 else 0.0
        pairs[f"n{column}"] = numeric(random.normal(size=5_000), random.normal(moved, 1, n))
    for column in range(6):
        kinds = 10**column // 10 + 2
        pairs[f"c{column}"] = categories(
            random.integers(0, kinds, 5_000), random.integers(0, kinds, n)
        )
    return drift(pairs)


def test_unchanged_columns_do_not_alarm() -> None:
    """Forty reports of twenty columns, one with 10,000 kinds, at 300 rows: at most one alarm."""
    assert sum(bool(world(seed, 300, 0.0).drifted) for seed in range(40)) <= 1


def test_a_real_shift_is_found_and_named() -> None:
    """0.4 standard deviations at 2,000 rows: that column and no other, in every one of ten."""
    for seed in range(10):
        assert world(seed, 2_000, 0.4).drifted == ["n0"]


def test_a_harmless_shift_is_sure_but_not_drift() -> None:
    """0.02 standard deviations in 200,000 rows: p below 1e-4, effect below 0.1, no alarm."""
    random = np.random.default_rng(1)
    pair = numeric(random.normal(size=200_000), random.normal(0.03, 1, 200_000))
    (one,) = drift({"x": pair}).columns
    assert one.p_value < 1e-4
    assert not one.drifted


def test_a_few_rows_are_measured_but_not_judged() -> None:
    """Below the least number of rows nothing is called drift, however far it is."""
    pair = numeric(np.arange(1_000.0), np.full(100, 1e9))
    (one,) = drift({"x": pair}).columns
    assert (one.effect, one.judged, one.drifted) == (1.0, False, False)
    assert drift({"x": numeric(np.arange(1_000.0), np.array([]))}).drifted == []


def test_new_categories_are_drift() -> None:
    """Half the rows with a value never seen before: a large distance, surely."""
    reference = np.array(["a", "b"] * 500)
    current = np.array(["a", "z"] * 500)
    (one,) = drift({"x": categories(reference, current)}).columns
    assert one.drifted
    assert one.effect > 0.5


def test_psi_by_hand() -> None:
    """Two categories, from half and half to three quarters: (0.25) ln 3 within the half rows."""
    found = psi(np.array([5_000.0, 5_000.0]), np.array([7_500.0, 2_500.0]), ordered=False)
    assert found == pytest.approx(0.25 * np.log(3.0), rel=1e-3)


def test_foreign_bins_are_refused() -> None:
    """A window counted for another model version is an error, not a drift."""
    left, _ = numeric(np.arange(9.0), np.arange(9.0))
    right, _ = numeric(np.arange(5.0), np.arange(9.0))
    with pytest.raises(Invalid) as caught:
        drift({"x": (left, right)})
    assert caught.value.code == "monitoring.sketch_mismatch"


def test_no_columns_give_an_empty_report() -> None:
    """Nothing to watch is not an error."""
    assert drift({}) == DriftReport(columns=[], drifted=[], judged=0)
