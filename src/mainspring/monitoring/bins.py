"""The bins of a column, laid through the reference (the training rows) and kept with the model.

::

    bin 0          bin 1 ... bin k-1            bin k
    below range ]  quantiles of the reference ] above range

Error: a distribution function read at an edge is exact. Between edges it is off by less than the
mass of one bin, at most 1 / ``most`` of the reference: a value that is heavier than that gets a
bin of its own, and a reference of few values has one bin for each.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from mainspring.training.vectors import Vector

VERSION: Final = 1
_SEEN_OFTEN: Final = 25


class NumericBins(Struct, frozen=True, tag_field="kind", tag="numeric"):
    """Edges e: bin i holds e[i-1] < value <= e[i]. Empty when the reference held no number."""

    edges: list[float]
    id: str
    version: int = VERSION


class CategoryBins(Struct, frozen=True, tag_field="kind", tag="category"):
    """Values of the reference. ``complete``: it had no others."""

    values: list[str]
    complete: bool
    id: str
    version: int = VERSION


Bins = NumericBins | CategoryBins


def numeric_bins(reference: ArrayLike, *, most: int = 256) -> NumericBins:
    """Edges at the reference's quantiles, with heavy values alone in a bin of their own."""
    values = np.sort(finite(np.asarray(reference, dtype=np.float64)))
    if values.size == 0:
        return NumericBins([], digest([]))
    unique, counts = np.unique(values, return_counts=True)
    if unique.size <= most:
        heavy = quantiles = unique
    else:
        heavy = unique[counts * most >= values.size]
        places = -(-np.arange(1, most + 1) * values.size // most) - 1
        quantiles = values[places]
    before = np.nextafter(np.append(heavy, values[0]), -np.inf)
    edges: list[float] = np.unique(np.concatenate([quantiles, heavy, before])).tolist()
    return NumericBins(edges, digest([edge.hex() for edge in edges]))


def category_bins(reference: Iterable[str | None], *, most: int = 200) -> CategoryBins:
    """All values of the reference, or if they are more than ``most``, the commonest of them.

    In the second case a value must have been seen 25 times. The commonest of many equally rare
    values are commonest by luck, and would seem to have become rarer in every later window.
    """
    counts = Counter(value for value in reference if value is not None)
    order = sorted(counts, key=lambda value: (-counts[value], value))
    complete = len(order) <= most
    kept = order if complete else [one for one in order[:most] if counts[one] >= _SEEN_OFTEN]
    return CategoryBins(kept, complete, digest(kept))


def finite(array: Vector) -> Vector:
    """The values that are numbers."""
    return array[np.isfinite(array)]


def digest(parts: list[str]) -> str:
    """A short name that two equal lists share."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]
