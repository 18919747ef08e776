"""Series by step in SQL: ranges of the clustered metric table."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring._adapters.sql.fields import Fields, chunks, marks
from mainspring._adapters.sql.tracking_experiments import experiment_number
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
        where = " AND step BETWEEN ? AND ?" if span else ""
        rows = reader.all(
            f"SELECT DISTINCT step FROM metrics WHERE run = ? AND field = ?{where} ORDER BY step",
            (place.number, field, *(span or ())),
        )
        return [row[0] for row in rows]

    def points_at(
        self, reader: Reader, place: Place, key: str, steps: Sequence[int]
    ) -> list[Point]:
        field = self._field(reader, key)
        found: list[Point] = []
        for part in chunks(steps) if field is not None else ():
            rows = reader.all(
                "SELECT value, nan, step, time_ms FROM metrics WHERE run = ? AND field = ? "
                f"AND step IN ({marks(part)}) ORDER BY step, time_ms, value",
                (place.number, field, *part),
            )
            found += [
                Point(key, float("nan") if row[1] else row[0], row[2], row[3]) for row in rows
            ]
        return found

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
