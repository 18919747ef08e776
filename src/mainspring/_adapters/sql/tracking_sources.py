"""Which condition of a search is met by the fewest runs, found by counting index entries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mainspring._adapters.sql.tracking_conditions import Condition, Fragment
from mainspring.ports.database import Reader

RARE: Final = 2_000  # runs that are checked and sorted without a second thought
STEP: Final = 16  # how much further each count goes than the one before
MOST_COUNTED: Final = 8


class Sources:
    """The counts of one search: each source is counted once, up to a bound."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._counted: dict[Fragment, tuple[int, int]] = {}  # the count, and how far it went

    def rare(self, conditions: Iterable[Condition]) -> Fragment | None:
        """The source of the fewest runs; None when each has more than ``RARE``."""
        return self._fewest(_sources(conditions), RARE)

    def smallest(self, conditions: Iterable[Condition]) -> Fragment | None:
        """The source of the fewest runs, however many; None when no condition has a source.

        The counts stop where the smallest does, so they cost what its runs cost.
        """
        sources = _sources(conditions)
        bound = max(RARE, 1)
        while sources:
            found = self._fewest(sources, bound)
            if found is not None:
                return found
            bound *= STEP
        return None

    def _fewest(self, sources: Iterable[Fragment], bound: int) -> Fragment | None:
        best = None
        for source in sources:
            count = self._count(source, bound + 1)
            if count <= bound:
                best, bound = source, count
        return best

    def _count(self, source: Fragment, most: int) -> int:
        count, reached = self._counted.get(source, (0, 0))
        if count == reached < most:
            row = self._reader.one(
                f"SELECT COUNT(*) FROM ({source.sql} LIMIT ?) few", (*source.values, most)
            )
            count = row[0] if row else 0
            self._counted[source] = (count, most)
        return count


def _sources(conditions: Iterable[Condition]) -> list[Fragment]:
    """The last conditions come first: they are those that narrow a walk."""
    found = [one.source for one in conditions if one.source is not None]
    return found[::-1][:MOST_COUNTED]
