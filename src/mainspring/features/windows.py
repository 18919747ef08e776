"""Sums over windows of knowledge, exact to the bit: arrays in, arrays out.

Per key the facts are put in the order of their moments and their values are added up as they come.
A window is then the difference of two running sums::

    facts of one key    o   o o     o   o  o      o         whole numbers
    running sum       0 1   2 3     4   5  6      7
                            |              |
                       T - window          T                in the window: 6 - 2

Whole numbers add up to the same value in any order, so no number of threads and no fact outside
the window can change a bit of a feature. Sums are of 64 bits and wrap around: a difference is
exact as long as the sum of one window fits.

Cost: one sort of the facts per stream, one binary search of all rows per end of a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from mainspring.features.point_in_time import Compiled
from mainspring.features.streams import NOWHERE, Stream, WindowColumn
from mainspring.ports.tables import Frame, Relation, Tables

Array = np.ndarray[Any, Any]
MINUTE_MICROS: Final = 60_000_000
_SMALL: Final = 2**15  # key numbers below it sort by radix


class Askers:
    """Who asks: each row's key and T, and the way to put the rows in the order of their keys.

    Shapes: ``keys`` (-1: none) and ``at`` of length m. Any order works; that of time is fast.
    """

    def __init__(self, keys: Array, at: Array) -> None:
        self.keys, self.at = keys, at
        self.by_key = np.argsort(_narrow(keys), kind="stable")


class Timeline:
    """Facts by key and moment; finds how many of a key came up to a moment.

    Shapes: ``keys`` and ``moments`` of length n in. Facts without key or moment are left out;
    ``order`` are the places of all others, by key and then by moment.
    """

    def __init__(self, keys: Array, moments: Array) -> None:
        taken = np.flatnonzero((keys >= 0) & (moments != NOWHERE))
        by_moment = taken[np.argsort(moments[taken])]
        self._moments = moments[by_moment]
        numbers = keys[by_moment]
        by_key = np.argsort(_narrow(numbers), kind="stable")
        self.order: Array = by_moment[by_key]
        # A fact's place among all keys: its key, then how many facts of any key came before it.
        self._width = len(taken) + 1
        self._places = numbers[by_key] * self._width + by_key

    def until(self, askers: Askers, *, less: int = 0) -> Array:
        """For each row: how many facts of lower keys, or of its own up to T - ``less``, there are.

        That is the end of a stretch of ``order``; the difference of two is a number of facts.
        """
        came = np.searchsorted(self._moments, askers.at - less, side="right")
        return self._count(askers, came)

    def first(self, askers: Askers) -> Array:
        """For each row: how many facts of lower keys there are."""
        return self._count(askers, np.zeros(len(askers.keys), np.int64))

    def _count(self, askers: Askers, came: Array) -> Array:
        wanted = (askers.keys * self._width + came)[askers.by_key]  # in order: kind to the cache
        found = np.empty(len(wanted), np.int64)
        found[askers.by_key] = np.searchsorted(self._places, wanted, side="left")
        return found


def _narrow(keys: Array) -> Array:
    """Small numbers in few bits, which sort by radix."""
    small = not len(keys) or int(keys.max()) < _SMALL
    return keys.astype(np.int16) if small else keys


def added_up(tables: Tables, compiled: Compiled, relations: Mapping[str, Relation]) -> Frame:
    """All windowed features of the asking rows: ``_id`` and a column for each."""
    plan = compiled.plan
    asked = tables.query(compiled.asked(), relations)
    count = len(asked["_at"])
    made: dict[str, Array] = {"_id": np.arange(count)}
    at = (int(asked["_at"].min()), int(asked["_at"].max())) if count else (0, 0)
    askers = {group: Askers(asked[group], asked["_at"]) for group in plan.groups}
    for name in plan.facts:
        facts = tables.query(compiled.facts(name, at), relations)
        for stream in plan.streams.values():
            if plan.source(stream) == name:
                made |= stream_columns(stream, facts, askers[stream.group])
    return made


def stream_columns(stream: Stream, facts: Mapping[str, Array], askers: Askers) -> dict[str, Array]:
    """The features of one stream for all asking rows; NaN where there is none.

    Shapes: facts of length n and m askers in; float64 of length m out.
    """
    if stream.closing:
        return _pending(stream, facts, askers)
    line = Timeline(facts[stream.group], facts[stream.moment])
    end = line.until(askers)
    starts = {
        window: line.until(askers, less=window)
        for window in {column.window for column in stream.columns}
    }
    sums: dict[str, Array] = {}
    made = {}
    for column in stream.columns:
        window = (starts[column.window], end)
        if column.kind in {"highest", "lowest"}:
            values = _extreme(column, facts[column.amount][line.order], window)
        else:
            for name in filter(None, (column.rows, column.amount)):
                if name not in sums:
                    sums[name] = _running(facts[name][line.order])
            values = _from_sums(column, sums, window)
        made[column.feature.name] = np.where(askers.keys >= 0, values, np.nan)
    return made


def _running(values: Array) -> Array:
    """The sums of the first none, one, two ... values."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, dtype=np.int64, out=sums[1:])
    return sums


def _from_sums(
    column: WindowColumn, sums: Mapping[str, Array], window: tuple[Array, Array]
) -> Array:
    start, end = window
    rows = sums[column.rows][end] - sums[column.rows][start]
    if column.kind == "count":
        return rows.astype(np.float64)
    amount = (sums[column.amount][end] - sums[column.amount][start]).astype(np.float64)
    if column.kind == "total":
        return amount / column.scale
    enough = rows >= column.at_least
    divisor = np.where(enough, rows * column.scale, 1).astype(np.float64)
    return np.where(enough, amount / divisor, np.nan)


def _pending(stream: Stream, facts: Mapping[str, Array], askers: Askers) -> dict[str, Array]:
    """What opened by T less what closed by T; and for how long all of it has been open."""
    group, opens = facts[stream.group], facts[stream.moment]
    counts, begun = [], []
    for moments in (opens, facts[stream.closing]):
        line = Timeline(group, moments)
        first, end = line.first(askers), line.until(askers)
        counts.append(end - first)
        running = _running(opens[line.order])
        begun.append(running[end] - running[first])
    count = counts[0] - counts[1]
    lasted = count * askers.at - (begun[0] - begun[1])
    made = {}
    for column in stream.columns:
        values = count.astype(np.float64)
        if column.kind == "minutes":
            values = lasted.astype(np.float64) / MINUTE_MICROS
        made[column.feature.name] = np.where(askers.keys >= 0, values, np.nan)
    return made


def _extreme(column: WindowColumn, values: Array, window: tuple[Array, Array]) -> Array:
    """The greatest or least value between two places, from a table of powers of two.

    Level k holds the extreme of 2**k values from each place on; any stretch is covered by two of
    one level. Source: Bender and Farach-Colton, "The LCA problem revisited", LATIN 2000, section 3.
    """
    choose = np.fmax if column.kind == "highest" else np.fmin  # both pass over NaN
    start, end = window
    length = end - start
    result = np.full(len(start), np.nan)
    level, size = values.astype(np.float64), 1
    while size <= (int(length.max()) if len(length) else 0):
        mine = np.flatnonzero((length >= size) & (length < 2 * size))
        result[mine] = choose(level[start[mine]], level[end[mine] - size])
        if len(level) <= size:
            break
        level = choose(level[:-size], level[size:])
        size *= 2
    return result
