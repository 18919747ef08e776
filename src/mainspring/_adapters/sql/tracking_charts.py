"""Series by step in SQL: of whole histories, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import itemgetter

from mainspring._adapters.sql.fields import Fields, marks
from mainspring._adapters.sql.tracking_experiments import experiment_number
from mainspring._adapters.sql.tracking_histories import parts
from mainspring.ports.database import Reader
from mainspring.tracking.ports import Place
from mainspring.tracking.types import Dataset, Point


class SqlCharts:
    """The chart store."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def steps(
        self, reader: Reader, place: Place, key: str, span: tuple[int, int] | None
    ) -> list[int]:
        field = self._field(reader, key)
        if field is None:
            return []
        found: set[int] = set()
        for part in parts(reader, (place.number, field)):
            found.update(part.steps)
        if span is not None:
            found = {step for step in found if span[0] <= step <= span[1]}
        return sorted(found)

    def points_at(
        self, reader: Reader, place: Place, key: str, steps: Sequence[int]
    ) -> list[Point]:
        field = self._field(reader, key)
        if field is None or not steps:
            return []
        wanted = set(steps)
        found: list[tuple[int, int, float]] = []
        for part in parts(reader, (place.number, field)):
            rows = zip(part.steps, part.times_ms, part.values, strict=True)
            found += compress(rows, map(wanted.__contains__, part.steps))
        found.sort(key=itemgetter(0, 1))  # of one step and time they are in order already
        return [Point(key, value, step, time_ms) for step, time_ms, value in found]

    def datasets(
        self, reader: Reader, experiment_ids: Sequence[str], limit: int
    ) -> list[tuple[str, Dataset, str]]:
        numbers = [n for n in map(experiment_number, experiment_ids) if n is not None]
        rows = reader.all(
            "SELECT DISTINCT d.id, d.experiment, d.name, d.digest, l.context FROM datasets d "
            f"JOIN run_datasets l ON l.dataset = d.id WHERE d.experiment IN ({marks(numbers)}) "
            "ORDER BY d.id DESC, l.context LIMIT ?",
            (*numbers, limit),
        )
        return [(str(row[1]), Dataset(name=row[2], digest=row[3]), row[4]) for row in rows]

    def _field(self, reader: Reader, key: str) -> int | None:
        return self._fields.existing(reader, [f"m:{key}"]).get(f"m:{key}")
