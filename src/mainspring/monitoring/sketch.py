"""Columns as small counts that merge exactly: hours into days, workers into one window.

The bins are laid once, through the reference (``bins``); every sketch only counts in them. So
merging adds integers: associative, commutative, without error. A sketch holds at most twice as
many counts as the bins were asked for (about 2 kB), whatever flows through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from mainspring.core.errors import Broken, Invalid
from mainspring.monitoring.bins import VERSION, Bins, CategoryBins, NumericBins, digest, finite

_EXAMPLES: Final = 16


class NumericSketch(Struct, frozen=True, tag_field="kind", tag="numeric"):
    """Counts per bin, and what is not in any: missing values and infinities."""

    bins: str
    counts: list[int]
    nulls: int = 0
    infinite: int = 0
    version: int = VERSION

    @property
    def rows(self) -> int:
        """All rows, missing values included."""
        return sum(self.counts) + self.nulls + self.infinite


class CategorySketch(Struct, frozen=True, tag_field="kind", tag="category"):
    """Counts of the known values; ``other`` rows, and up to 16 examples of other values."""

    bins: str
    counts: list[int]
    other: int = 0
    nulls: int = 0
    examples: list[str] = []
    version: int = VERSION

    @property
    def rows(self) -> int:
        """All rows, missing values included."""
        return sum(self.counts) + self.other + self.nulls


Sketch = NumericSketch | CategorySketch


def sketch_numbers(bins: NumericBins, values: ArrayLike) -> NumericSketch:
    """The counts of these values; NaN and None are missing."""
    array = np.asarray(values, dtype=np.float64)
    numbers = finite(array)
    nulls = int(np.count_nonzero(np.isnan(array)))
    places = np.searchsorted(np.array(bins.edges), numbers, side="left")
    counts = np.bincount(places, minlength=len(bins.edges) + 1)
    return NumericSketch(bins.id, counts.tolist(), nulls, array.size - nulls - numbers.size)


def sketch_categories(bins: CategoryBins, values: Iterable[str | None]) -> CategorySketch:
    """The counts of these values; None is missing, unknown ones are ``other``."""
    found = Counter(values)
    nulls = found.pop(None, 0)
    counts = [found.pop(value, 0) for value in bins.values]
    others = {value: count for value, count in found.items() if value is not None}
    return CategorySketch(bins.id, counts, sum(others.values()), nulls, _examples(others))


def merge(left: Sketch, right: Sketch) -> Sketch:
    """The sketch of both sides' rows, exactly as if they had been counted together.

    Errors: ``monitoring.sketch_mismatch`` unless both were counted in the same bins.
    """
    if type(left) is not type(right) or left.bins != right.bins:
        raise Invalid(
            "monitoring.sketch_mismatch",
            "These sketches were counted in different bins.",
            hint="Merge only windows of one model version, column by column.",
            left=left.bins,
            right=right.bins,
        )
    counts = [a + b for a, b in zip(left.counts, right.counts, strict=True)]
    nulls = left.nulls + right.nulls
    if isinstance(left, NumericSketch) and isinstance(right, NumericSketch):
        return NumericSketch(left.bins, counts, nulls, left.infinite + right.infinite)
    assert isinstance(left, CategorySketch)  # noqa: S101  # for the type checker
    assert isinstance(right, CategorySketch)  # noqa: S101
    examples = _examples([*left.examples, *right.examples])
    return CategorySketch(left.bins, counts, left.other + right.other, nulls, examples)


def quantile(bins: NumericBins, sketch: NumericSketch, share: float) -> float | None:
    """The upper edge of the bin that holds the sample's quantile; None without a number.

    The true one lies in the same bin; beyond the last edge the last edge is given.
    """
    total = sum(sketch.counts)
    if total == 0 or not bins.edges:
        return None
    reached = np.cumsum(sketch.counts)
    place = int(np.searchsorted(reached, max(1.0, share * total) - 1e-9))
    return bins.edges[min(place, len(bins.edges) - 1)]


def encode(value: Bins | Sketch) -> bytes:
    """Versioned JSON."""
    return msgspec.json.encode(value)


def decode_bins(data: bytes) -> Bins:
    """The bins. Errors: ``monitoring.sketch_unreadable``."""
    try:
        bins: Bins = msgspec.json.decode(data, type=Bins)
    except msgspec.DecodeError as error:
        raise _unreadable(str(error)) from error
    _check_version(bins)
    return bins


def decode_sketch(data: bytes) -> Sketch:
    """The sketch. Errors: ``monitoring.sketch_unreadable``."""
    try:
        sketch: Sketch = msgspec.json.decode(data, type=Sketch)
    except msgspec.DecodeError as error:
        raise _unreadable(str(error)) from error
    _check_version(sketch)
    return sketch


def _check_version(value: Bins | Sketch) -> None:
    if value.version != VERSION:
        raise _unreadable(f"It has version {value.version}; this program reads {VERSION}.")


def _unreadable(why: str) -> Broken:
    return Broken(
        "monitoring.sketch_unreadable",
        f"The stored sketch cannot be read: {why}",
        hint="Rebuild it from the prediction records of its window.",
    )


def _examples(values: Iterable[str]) -> list[str]:
    """The values with the smallest hashes: the same few, however the rows were split."""
    return sorted(set(values), key=lambda one: (digest([one]), one))[:_EXAMPLES]
