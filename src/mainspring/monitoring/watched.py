"""What a window is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainspring.core.schema import Signature
    from mainspring.monitoring.reference import Reference


@dataclass(frozen=True, slots=True)
class Watched:
    """The version that a window is measured against: its reference and its own evaluation.

    ``thresholds`` gives each version's decision threshold, for costs. ``by_row``: rows are drawn
    for the intervals, not days; right only where rows have no time and so no common cause in it.
    """

    model: str
    version: int
    signature: Signature | None
    reference: Reference | None
    evaluated: Mapping[str, float]
    thresholds: Mapping[str, float]
    compare_with: tuple[str, ...] = ()
    by_row: bool = False
