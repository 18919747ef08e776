"""What a run's calls leave in memory until the recorder takes it, and what it takes them as."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, groupby, repeat
from operator import floordiv, itemgetter
from typing import Any, Final

import msgspec

from mainspring.core.ids import RunId
from mainspring.tracking.batches import check_points
from mainspring.tracking.columns import in_order, pack, unpack
from mainspring.tracking.deeds import Deed
from mainspring.tracking.types import Batch, Point

MOST_POINTS: Final = 20_000
_PAIRS: Final = 100
_AT_ONCE: Final = 1_000  # calls that are taken together, whatever their widths
_FEW: Final = 16  # points of a metric that are not worth columns
_MOST_KNOWN: Final = 1_000
Names = tuple[str, ...]
_names = itemgetter(0)


class Record(msgspec.Struct, array_like=True):
    """What goes to a run in one batch, as the spool keeps it; ``series`` are packed columns."""

    run_id: str
    points: list[Point] = []
    params: list[tuple[str, str]] = []
    tags: list[tuple[str, str]] = []
    deed: Deed | None = None
    series: dict[str, bytes] = {}

    def batch(self) -> Batch:
        """The batch that is logged for it."""
        return Batch(
            points=tuple(self.points),
            params=tuple(self.params),
            tags=tuple(self.tags),
            series={key: unpack(data) for key, data in self.series.items()},
        )

    def pieces(self) -> list[Record]:
        """The same in records that are refused each for itself."""
        measured = self.points or self.series
        points = [Record(self.run_id, points=self.points, series=self.series)] if measured else []
        params = [Record(self.run_id, params=[pair]) for pair in self.params]
        return points + params + [Record(self.run_id, tags=[pair]) for pair in self.tags]


@dataclass(slots=True)
class Line:
    """The queue of one run: calls as they came, pairs as checked.

    Concurrency: any thread may put, one takes.
    """

    run_id: RunId
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    """Of each call the names, the step, the moment (nanoseconds since 1970) and the values."""
    params: deque[tuple[str, str]] = field(default_factory=deque)
    tags: deque[tuple[str, str]] = field(default_factory=deque)
    known: dict[Names, Names] = field(default_factory=dict)
    """Names that calls had before, together: they can be stored, and are kept in memory once."""

    def know(self, names: Names, step: int) -> Names:
        """Names from now on known. Errors: ``tracking.bad_value`` for one that cannot be stored."""
        check_points([Point(name, 0.0, step, 0) for name in names])
        if len(self.known) >= _MOST_KNOWN:
            self.known.clear()
        return self.known.setdefault(names, names)

    def take(self) -> Record | None:
        """What is queued, up to a batch; None when nothing is."""
        points, series = _measured(self._calls())
        record = Record(self.run_id, points, _once(self.params), _latest(self.tags), None, series)
        return record if points or series or record.params or record.tags else None

    def _calls(self) -> dict[Names, list[tuple[Any, ...]]]:
        """Calls from the front of the queue, by the names that they have."""
        found: dict[Names, list[tuple[Any, ...]]] = {}
        calls, left = self.calls, MOST_POINTS
        while calls and left > 0:
            some = calls[: min(_AT_ONCE, 1 + left // len(calls[0]))]
            del calls[: len(some)]  # as one step, like an append: no call is lost between
            for names, group in groupby(some, _names):
                found.setdefault(names, []).extend(group)
            left -= sum(map(len, some)) - 3 * len(some)
        return found


def _measured(
    calls: Mapping[Names, list[tuple[Any, ...]]],
) -> tuple[list[Point], dict[str, bytes]]:
    """Points of metrics that have few, and packed columns of those that have many.

    Nothing is done in Python for each point of many: a million of them pass by here a second.
    """
    parts: dict[str, list[list[list[Any]]]] = {}
    for names, rows in calls.items():
        steps, moments = (list(map(itemgetter(place), rows)) for place in (1, 2))
        times_ms = list(map(floordiv, moments, repeat(1_000_000)))
        for place, name in enumerate(names, 3):
            numbers = list(map(itemgetter(place), rows))
            parts.setdefault(name, []).append([steps, times_ms, numbers])
    points: list[Any] = []  # plain tuples: a third of the price of Point
    series: dict[str, bytes] = {}
    for name, some in parts.items():
        at, when, values = some[0] if len(some) == 1 else map(_joined, zip(*some, strict=True))
        if len(values) < _FEW:
            points += zip(repeat(name), values, at, when, strict=False)
        else:
            series[name] = pack(in_order(at, when, values))
    return points, series


def _joined(lists: Iterable[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(lists))


def _latest(queue: deque[tuple[str, str]]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    while queue and len(found) < _PAIRS:
        key, value = queue.popleft()
        found[key] = value
    return list(found.items())


def _once(queue: deque[tuple[str, str]]) -> list[tuple[str, str]]:
    """Parameters up to one that is there with another value: the store is to refuse that one."""
    found: dict[str, str] = {}
    while queue and len(found) < _PAIRS:
        key, value = queue[0]
        if found.setdefault(key, value) != value:
            break
        queue.popleft()
    return list(found.items())
