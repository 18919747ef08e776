"""Sketches merge without error, stay small, and keep the error they promise."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.errors import Broken, Invalid
from mainspring.monitoring.bins import category_bins, numeric_bins
from mainspring.monitoring.distance import ks_distance, ks_two_samples
from mainspring.monitoring.sketch import (
    decode_bins,
    decode_sketch,
    encode,
    merge,
    quantile,
    sketch_categories,
    sketch_numbers,
)

numbers = st.lists(
    st.one_of(st.floats(-5, 5), st.sampled_from([0.0, float("nan"), float("inf")])), max_size=40
)
words = st.lists(st.one_of(st.none(), st.text("abcxyz", max_size=2)), max_size=40)
BINS = numeric_bins(np.random.default_rng(0).normal(size=1_000), most=16)
CATEGORIES = category_bins([*"ab" * 30, "c", None], most=2)


@settings(deadline=None)
@given(numbers, numbers, numbers)
def test_merging_numbers_is_counting_together(
    a: list[float], b: list[float], c: list[float]
) -> None:
    """Any order and grouping of merges gives the sketch of all rows, byte for byte."""
    one, two, three = (sketch_numbers(BINS, part) for part in (a, b, c))
    whole = encode(sketch_numbers(BINS, [*a, *b, *c]))
    assert encode(merge(merge(one, two), three)) == whole
    assert encode(merge(three, merge(two, one))) == whole


@settings(deadline=None)
@given(words, words, words)
def test_merging_categories_is_counting_together(
    a: list[str | None], b: list[str | None], c: list[str | None]
) -> None:
    """The same for categories, the examples of unknown values included."""
    one, two, three = (sketch_categories(CATEGORIES, part) for part in (a, b, c))
    whole = encode(sketch_categories(CATEGORIES, [*a, *b, *c]))
    assert encode(merge(merge(one, two), three)) == whole
    assert encode(merge(three, merge(two, one))) == whole


@settings(deadline=None)
@given(numbers, words)
def test_every_row_is_counted_once(values: list[float], texts: list[str | None]) -> None:
    """Missing, infinite, out of range or unknown: nothing is lost and nothing counted twice."""
    assert sketch_numbers(BINS, values).rows == len(values)
    assert sketch_categories(CATEGORIES, texts).rows == len(texts)


def test_categories_by_hand() -> None:
    """Two known values, the rest as 'other' with examples; None is missing, not a value."""
    found = sketch_categories(CATEGORIES, ["a", "b", "b", "c", "q", None])
    assert CATEGORIES.values == ["a", "b"]
    assert not CATEGORIES.complete
    assert (found.counts, found.other, found.nulls) == ([1, 2], 2, 1)
    assert sorted(found.examples) == ["c", "q"]


def test_numbers_by_hand() -> None:
    """Five known values: each alone in a bin; below, above and between are told apart."""
    bins = numeric_bins([1.0, 2.0, 3.0, 4.0, 5.0])
    assert sketch_numbers(bins, [0.9, 5.1]).counts[0] == 1
    assert sketch_numbers(bins, [0.9, 5.1]).counts[-1] == 1
    two, between = sketch_numbers(bins, [2.0]), sketch_numbers(bins, [1.5])
    assert two.counts != between.counts
    within = sketch_numbers(bins, [1.0, 5.0])
    assert (within.counts[0], within.counts[-1]) == (0, 0)


samples = st.tuples(st.integers(0, 10_000), st.sampled_from(["normal", "spiked", "few", "skewed"]))


def draw(seed: int, shape: str, n: int) -> np.ndarray:
    """A sample of a continuous, a spiked (half zero), a five-valued or a skewed column."""
    random = np.random.default_rng(seed)
    if shape == "few":
        return random.integers(0, 5, n).astype(float)
    if shape == "skewed":
        return random.lognormal(0, 2, n)
    values = random.normal(size=n)
    return np.where(random.random(n) < 0.5, 0.0, values) if shape == "spiked" else values


@settings(deadline=None)
@given(samples, st.floats(-1, 1), st.integers(1, 2_000), st.integers(8, 64))
def test_the_sketched_distance_keeps_its_error(
    one: tuple[int, str], shift: float, n: int, most: int
) -> None:
    """KS from sketches is never above the exact one, and below by less than 1 / most + 1 / n."""
    seed, shape = one
    reference, current = draw(seed, shape, 1_000), draw(seed + 1, shape, n) + shift
    bins = numeric_bins(reference, most=most)
    left, right = (
        np.array(sketch_numbers(bins, part).counts, dtype=float) for part in (reference, current)
    )
    exact, _ = ks_two_samples(reference, current)
    sketched = ks_distance(left, right)
    assert exact - 1 / most - 1e-3 <= sketched <= exact + 1e-12


@settings(deadline=None)
@given(samples, st.floats(0, 1), st.integers(8, 64))
def test_a_quantile_is_off_by_less_than_a_bin(
    one: tuple[int, str], share: float, most: int
) -> None:
    """The rank of the answer is within 1 / most of the one asked for."""
    values = draw(*one, 1_000)
    bins = numeric_bins(values, most=most)
    found = quantile(bins, sketch_numbers(bins, values), share)
    assert found is not None
    assert (values <= found).mean() >= share - 1e-9
    assert (values < found).mean() <= share + 1 / most + 1e-3


def test_a_sketch_stays_small() -> None:
    """A million rows take no more room than the bins allow: under 4 kB."""
    values = np.random.default_rng(1).normal(size=1_000_000)
    bins = numeric_bins(values)
    assert len(bins.edges) <= 2 * 256 + 1
    assert len(encode(sketch_numbers(bins, values))) < 4_000
    many = category_bins(str(n % 500) for n in range(20_000))
    found = sketch_categories(many, (str(n) for n in range(20_000)))
    assert (len(found.counts), len(found.examples)) == (200, 16)


def test_the_commonest_of_rare_values_are_not_singled_out() -> None:
    """Of 5,000 kinds seen four times each none is common, so all are 'other'."""
    many = category_bins(str(n % 5_000) for n in range(20_000))
    assert (many.values, many.complete) == ([], False)


def test_stored_forms_are_read_back() -> None:
    """Bins and sketches of both kinds survive storage unchanged."""
    for bins in (BINS, CATEGORIES):
        assert decode_bins(encode(bins)) == bins
    for sketch in (sketch_numbers(BINS, [1.0]), sketch_categories(CATEGORIES, ["a", "q"])):
        assert decode_sketch(encode(sketch)) == sketch


def test_the_first_stored_form_stays_readable() -> None:
    """These bytes were written by version 1; whatever comes later must read them."""
    stored = (
        b'{"kind":"category","bins":"x","counts":[1,2],"other":1,"nulls":0,'
        b'"examples":["q"],"version":1}'
    )
    assert decode_sketch(stored).rows == 4


@pytest.mark.parametrize("data", [b"{", b"{}", b'{"kind":"numeric","bins":"x","counts":"y"}'])
def test_torn_bytes_are_named(data: bytes) -> None:
    """Half a document or a foreign one is broken, not empty."""
    with pytest.raises(Broken):
        decode_sketch(data)


def test_a_later_version_is_not_guessed() -> None:
    """An unknown version is refused rather than misread."""
    later = msgspec.structs.replace(BINS, version=2)
    with pytest.raises(Broken, match="version 2"):
        decode_bins(encode(later))


def test_different_bins_do_not_merge() -> None:
    """Counts of other bins mean something else."""
    other = numeric_bins([1.0, 2.0])
    with pytest.raises(Invalid) as caught:
        merge(sketch_numbers(BINS, [1.0]), sketch_numbers(other, [1.0]))
    assert caught.value.code == "monitoring.sketch_mismatch"
    with pytest.raises(Invalid):
        merge(sketch_numbers(BINS, [1.0]), sketch_categories(CATEGORIES, ["a"]))


def test_a_reference_without_numbers_has_no_range() -> None:
    """All rows fall into the only bin, and no quantile is invented."""
    bins = numeric_bins([None, float("nan")])
    assert sketch_numbers(bins, [1.0, None]).counts == [1]
    assert quantile(bins, sketch_numbers(bins, [1.0]), 0.5) is None
