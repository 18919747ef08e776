"""Logged models in SQL: the whole model as one document, its metrics as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from mainspring._adapters.sql.fields import Fields, chunks, marks
from mainspring._adapters.sql.tracking_experiments import experiment_number
from mainspring.ports.database import Reader, Transaction
from mainspring.tracking.types import LoggedModel, ModelPoint, Point

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LoggedModel).decode


def add_model_points(
    tx: Transaction, points: Sequence[ModelPoint], numbers: Mapping[str, int]
) -> None:
    """Stores metric values of models under the numbers of their names."""
    tx.many(
        "INSERT INTO model_metrics (model, field, step, time_ms, value, nan, run, dataset_name, "
        "dataset_digest) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        [
            (
                entry.model_id,
                numbers[f"m:{entry.point.key}"],
                entry.point.step,
                entry.point.time_ms,
                entry.point.value if entry.point.value == entry.point.value else 0.0,  # noqa: PLR0124 - NaN
                int(entry.point.value != entry.point.value),  # noqa: PLR0124 - NaN
                entry.run_id,
                entry.dataset_name,
                entry.dataset_digest,
            )
            for entry in points
        ],
    )


class SqlModels:
    """The store of logged models."""

    def __init__(self, fields: Fields | None = None) -> None:
        self._fields = fields or Fields()

    def save(self, tx: Transaction, model: LoggedModel) -> None:
        tx.run(
            "INSERT INTO logged_models (id, experiment, state, created_ms, document) "
            "VALUES (?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
            "document = excluded.document",
            (
                model.id,
                int(model.experiment_id),
                model.state,
                model.created_ms,
                _encode(replace(model, metrics=())).decode(),
            ),
        )

    def find(self, reader: Reader, model_id: str) -> LoggedModel | None:
        row = reader.one("SELECT document FROM logged_models WHERE id = ?", (model_id,))
        return self._with_metrics(reader, [_decode(row[0])])[0] if row else None

    def of_experiments(self, reader: Reader, experiment_ids: Iterable[str]) -> list[LoggedModel]:
        numbers = [n for n in map(experiment_number, experiment_ids) if n is not None]
        rows = [
            row
            for part in chunks(numbers)
            for row in reader.all(
                "SELECT document, created_ms FROM logged_models "
                f"WHERE experiment IN ({marks(part)}) AND state = 'active' "
                "ORDER BY created_ms DESC, id",
                part,
            )
        ]
        return self._with_metrics(reader, [_decode(row[0]) for row in rows])

    def measure(self, tx: Transaction, points: Sequence[ModelPoint]) -> None:
        names = {f"m:{entry.point.key}" for entry in points}
        add_model_points(tx, points, self._fields.numbers(tx, names))

    def _with_metrics(self, reader: Reader, models: list[LoggedModel]) -> list[LoggedModel]:
        """The models with, for each metric, run and dataset, the greatest (step, time, value)."""
        best: dict[str, dict[tuple[str, ...], ModelPoint]] = {}
        for part in chunks([model.id for model in models]):
            rows = reader.all(
                "SELECT model, field, value, nan, step, time_ms, run, dataset_name, "
                f"dataset_digest FROM model_metrics WHERE model IN ({marks(part)}) "
                "ORDER BY model, field, step, time_ms, value",
                part,
            )
            names = self._fields.names(reader, {row[1] for row in rows})
            for model, field, value, nan, step, time_ms, *rest in rows:
                point = Point(names[field][2:], float("nan") if nan else value, step, time_ms)
                entry = ModelPoint(model, point, *rest)
                best.setdefault(model, {})[point.key, *rest] = entry
        return [replace(model, metrics=tuple(best.get(model.id, {}).values())) for model in models]
