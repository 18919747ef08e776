"""Real breaks alarm, odd rows do not."""

from __future__ import annotations

import numpy as np
import pytest

from mainspring.core.errors import Invalid
from mainspring.monitoring.bins import category_bins, numeric_bins
from mainspring.monitoring.quality import excess_p_value, quality
from mainspring.monitoring.sketch import Sketch, sketch_categories, sketch_numbers

RANDOM = np.random.default_rng(0)
REFERENCE = np.where(RANDOM.random(5_000) < 0.1, np.nan, RANDOM.normal(size=5_000))
BINS = numeric_bins(REFERENCE)
CARRIERS = [f"c{n % 16}" for n in range(5_000)]
CATEGORIES = category_bins(CARRIERS)


def numbers(window: np.ndarray) -> dict[str, tuple[Sketch, Sketch]]:
    """A numeric column beside its reference, in which a tenth is missing."""
    return {"x": (sketch_numbers(BINS, REFERENCE), sketch_numbers(BINS, window))}


def broken(pairs: dict[str, tuple[Sketch, Sketch]]) -> list[str]:
    """The checks that broke."""
    return [one.check for one in quality(pairs) if one.broken]


@pytest.mark.parametrize(
    ("window", "found"),
    [
        (np.full(500, np.nan), ["nulls"]),
        (np.r_[REFERENCE[:900], np.full(100, 99.0)], ["above_range"]),
        (np.r_[REFERENCE[:900], np.full(100, -99.0)], ["below_range"]),
        (np.r_[REFERENCE[:900], np.full(100, np.inf)], ["infinite"]),
        (np.r_[REFERENCE[:9], 99.0], []),
        (np.r_[REFERENCE[:999], 99.0], []),
        (np.zeros(500), []),
        (np.array([]), []),
    ],
)
def test_each_break_is_found_and_named(window: np.ndarray, found: list[str]) -> None:
    """A column gone, values out of range, infinities; but not one odd row, nor fewer nulls."""
    assert broken(numbers(window)) == found


def test_unseen_categories_are_shown() -> None:
    """A tenth of the rows with a new carrier breaks the check, and the finding names it."""
    window = [*CARRIERS[:900], *["ZZ"] * 100]
    pair = (sketch_categories(CATEGORIES, CARRIERS), sketch_categories(CATEGORIES, window))
    first = quality({"carrier": pair})[0]
    assert (first.check, first.broken, first.count, first.n) == ("unseen", True, 100, 1_000)
    assert first.examples == ["ZZ"]


def test_healthy_windows_do_not_alarm() -> None:
    """Of 300 windows of 50 to 5,000 rows like the reference, at most 3 alarm."""
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(300):
        n = int(random.integers(50, 5_000))
        window = np.where(random.random(n) < 0.1, np.nan, random.normal(size=n))
        alarms += bool(broken(numbers(window)))
    assert alarms <= 3


def test_values_a_small_reference_missed_are_no_break() -> None:
    """150 rare kinds, 400 reference rows: windows show unseen ones, as many as were seen once."""
    random = np.random.default_rng(2)
    share = 1.0 / np.arange(1, 151)
    kinds = np.array([f"k{n}" for n in range(150)])
    reference = random.choice(kinds, 400, p=share / share.sum()).tolist()
    bins = category_bins(reference)
    before = sketch_categories(bins, reference)
    for _ in range(20):
        window = random.choice(kinds, 1_000, p=share / share.sum()).tolist()
        pair = (before, sketch_categories(bins, window))
        assert pair[1].other > 10
        assert broken({"kind": pair}) == []


def test_a_tolerated_rise_is_none_in_a_million_rows() -> None:
    """Half a percent more nulls is surely there, and still within the tolerance of one."""
    assert excess_p_value(105_000, 1_000_000, (500, 5_000), 0.01) > 0.5
    assert excess_p_value(150_000, 1_000_000, (500, 5_000), 0.01) < 1e-12
    assert excess_p_value(5, 5, (0, 0), 1.0) == 1.0


def test_foreign_bins_are_refused() -> None:
    """A numeric reference and a category window do not belong together."""
    pair = (sketch_numbers(BINS, REFERENCE), sketch_categories(CATEGORIES, CARRIERS))
    with pytest.raises(Invalid) as caught:
        quality({"x": pair})
    assert caught.value.code == "monitoring.sketch_mismatch"
