"""A metric's points in SQL, in columns; long ones are kept in memory for the next who asks.

Points are added and never changed, and go only with their whole run. So columns that were read
once are still true when the table holds as many points up to their last step, which it counts ten
times faster than it hands them out; those of later steps are read and put behind them.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from mainspring.ports.database import Reader, Row
from mainspring.tracking.columns import Columns
from mainspring.tracking.ports import Place

WHOLE: Final = 100_000  # points of one metric that are sorted in memory
LONG: Final = 5_000
MOST_KEPT: Final = 1_000_000  # points, of 24 bytes
_HISTORY: Final = "SELECT time_ms, step, value, nan FROM metrics WHERE run = ? AND field = ?"
_COUNT: Final = "SELECT COUNT(*) FROM metrics WHERE run = ? AND field = ?"
_NAN: Final = float("nan")
_Key = tuple[int, str, int]  # a run's number may come again, its identifier does not


class Histories:
    """Reads of histories. Concurrency: any thread may read."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Columns] = OrderedDict()
        self._points = 0
        self._lock = threading.Lock()

    def read(
        self, reader: Reader, place: Place, field: int, *, after: Sequence[Any] | None, limit: int
    ) -> Columns:
        """Points by time, step and value, after the given one of those."""
        at = (place.number, field)
        if after is None:
            key = (place.number, place.run_id, field)
            kept = self._grown(reader, key)
            if kept is not None:
                return kept.first(limit)
            # Steps and times mostly rise together, and this order is the table's own.
            rows = reader.all(f"{_HISTORY} LIMIT ?", (*at, WHOLE + 1))
            if len(rows) <= WHOLE:
                rows.sort()
                found = _columns(rows)
                self._keep(key, found)
                return found.first(limit)
        where, values = "", list(at)
        if after:
            where = " AND time_ms >= ? AND (time_ms, step, value, nan) > (?,?,?,?)"
            values += [after[0], *after]
        return _columns(
            reader.all(
                f"{_HISTORY}{where} ORDER BY time_ms, step, value, nan LIMIT ?", (*values, limit)
            )
        )

    def _grown(self, reader: Reader, key: _Key) -> Columns | None:
        """What is kept with what came behind it; None when something came between."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        at, last = (key[0], key[2]), max(kept.steps)
        row = reader.one(f"{_COUNT} AND step <= ?", (*at, last))
        if row is None or row[0] != len(kept.steps):
            return None
        rows = reader.all(f"{_HISTORY} AND step > ? LIMIT ?", (*at, last, WHOLE + 1))
        if not rows:
            return kept
        rows.sort()
        if rows[0][0] < kept.times_ms[-1] or len(kept.steps) + len(rows) > WHOLE:
            return None
        found = kept + _columns(rows)
        self._keep(key, found)
        return found

    def _keep(self, key: _Key, found: Columns) -> None:
        if len(found.steps) < LONG:
            return
        with self._lock:
            old = self._kept.pop(key, None)
            self._kept[key] = found
            self._points += len(found.steps) - (len(old.steps) if old else 0)
            while self._points > MOST_KEPT:
                _, gone = self._kept.popitem(last=False)
                self._points -= len(gone.steps)


def _columns(rows: Sequence[Row]) -> Columns:
    """Rows as columns, without a Python call for each: a hundred thousand are one page."""
    values = array("d", map(itemgetter(2), rows))
    if any(map(itemgetter(3), rows)):
        values = array("d", [_NAN if row[3] else row[2] for row in rows])
    steps = array("q", map(itemgetter(1), rows))
    return Columns(steps, array("q", map(itemgetter(0), rows)), values)
