"""What a model's inputs and scores looked like when it was judged: the reference of its drift.

Stored in the package, so that a version carries its own reference wherever it serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Broken
from mainspring.core.schema import InputColumn
from mainspring.monitoring.bins import Bins, NumericBins, category_bins, numeric_bins
from mainspring.monitoring.drift import ColumnDrift, drift
from mainspring.monitoring.quality import QualityFinding, quality
from mainspring.monitoring.sketch import Sketch, sketch_categories, sketch_numbers
from mainspring.training.encoding import as_text

SCORE = "(score)"


class Profile(msgspec.Struct, frozen=True):
    """The bins of one column and what fell into them."""

    bins: Bins
    sketch: Sketch


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Every input and the score, as they were on the reference rows."""

    columns: dict[str, Profile]
    version: int = 1

    def encode(self) -> bytes:
        """The reference as ``reference.json``."""
        return msgspec.json.encode(self)


def decode(data: bytes) -> Reference:
    """The reference in a ``reference.json``. Errors: ``monitoring.reference_unreadable``."""
    try:
        return msgspec.json.decode(data, type=Reference)
    except msgspec.MsgspecError as error:
        raise Broken(
            "monitoring.reference_unreadable",
            f"reference.json cannot be read ({error}).",
            hint="The package is damaged; see 'mainspring models verify'.",
        ) from error


def build(
    inputs: Mapping[str, NDArray[Any]], scores: NDArray[Any], columns: tuple[InputColumn, ...]
) -> Reference:
    """The reference of these rows."""
    profiles = {column.name: _profile(inputs[column.name], column.type) for column in columns}
    profiles[SCORE] = _profile(scores, "number")
    return Reference(columns=profiles)


class Measured(msgspec.Struct, frozen=True):
    """A window beside the reference: how far each input and the score moved, and what broke."""

    drift: list[ColumnDrift]
    score: ColumnDrift | None
    quality: list[QualityFinding]


def measure(
    reference: Reference,
    inputs: Mapping[str, NDArray[Any]],
    scores: NDArray[Any],
    *,
    effect: float,
    significance: float,
    min_rows: int,
) -> Measured:
    """Every input, and the score apart from them, beside the reference; each column counted once."""
    pairs = {
        name: (profile.sketch, _sketch(profile.bins, inputs[name]))
        for name, profile in reference.columns.items()
        if name in inputs
    }
    rule = {"effect": effect, "significance": significance}
    found = drift(pairs, min_rows=min_rows, **rule).columns if pairs else []
    broken = quality(pairs, significance=significance) if pairs else []
    own = reference.columns.get(SCORE)
    if own is None:
        return Measured(found, None, broken)
    moved = drift({SCORE: (own.sketch, _sketch(own.bins, scores))}, min_rows=min_rows, **rule)
    return Measured(found, moved.columns[0], broken)


def _profile(values: NDArray[Any], kind: str) -> Profile:
    bins: Bins = (
        category_bins(_texts(values)) if kind == "category" else numeric_bins(_numbers(values))
    )
    return Profile(bins, _sketch(bins, values))


def _sketch(bins: Bins, values: NDArray[Any]) -> Sketch:
    if isinstance(bins, NumericBins):
        return sketch_numbers(bins, _numbers(values))
    return sketch_categories(bins, _texts(values))


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind == "O":
        return np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)
    return values.astype(np.float64)


def _texts(values: NDArray[Any]) -> list[str | None]:
    return [as_text(value) for value in values]
