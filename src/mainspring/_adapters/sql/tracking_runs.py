"""Runs and what is logged to them, in SQL.

A run's parameters and tags stand whole in its row, so a page of runs is one read per table; the
same once more as rows of ``run_terms``, to search by. Metric points lie in blocks and rows (see
``tracking_blocks``); ``latest`` keeps of each metric the greatest (step, time, value).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec

from mainspring._adapters.sql.fields import Fields, chunks, marks
from mainspring._adapters.sql.tracking_histories import read
from mainspring._adapters.sql.tracking_links import add_datasets, add_models, links_of
from mainspring._adapters.sql.tracking_models import add_model_points
from mainspring._adapters.sql.tracking_points import PointWriter
from mainspring._adapters.sql.tracking_search import search_runs
from mainspring.core.errors import Conflict
from mainspring.core.ids import RunId
from mainspring.ports.database import Reader, Row, Transaction
from mainspring.tracking.columns import Columns, nothing
from mainspring.tracking.ports import Hit, Place, RunQuery
from mainspring.tracking.types import (
    ENDED,
    NAME_TAG,
    Batch,
    DatasetInput,
    ModelLink,
    Point,
    Run,
)

_PLACE: Final = (
    "SELECT r.id, r.uuid, r.experiment, r.shelf, r.start_ms, e.state FROM runs r "
    "JOIN experiments e ON e.id = r.experiment WHERE r.uuid = ?"
)
_LATEST: Final = (
    "INSERT INTO latest (run, field, shelf, start_ms, value, nan, step, time_ms) "
    "VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (run, field) DO UPDATE SET value = excluded.value, "
    "nan = excluded.nan, step = excluded.step, time_ms = excluded.time_ms "
    "WHERE (excluded.step, excluded.time_ms, excluded.value) "
    "> (latest.step, latest.time_ms, latest.value)"
)
_TERM: Final = (
    "INSERT INTO run_terms (run, field, shelf, value) VALUES (?,?,?,?) "
    "ON CONFLICT (run, field) DO UPDATE SET value = excluded.value"
)
_ROW: Final = (
    "r.id, r.uuid, r.experiment, r.name, r.status, r.start_ms, r.end_ms, r.user_id, "
    "r.artifact_uri, r.shelf, e.state, r.document"
)


class _Document(msgspec.Struct):
    params: dict[str, str]
    tags: dict[str, str]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Document).decode


class SqlRuns:
    """The run store; one per process and database, so that it remembers names."""

    def __init__(self, *, dialect: str, fields: Fields | None = None) -> None:
        self._dialect = dialect
        self._fields = fields or Fields()
        self._points = PointWriter()

    def add(self, tx: Transaction, run: Run) -> Mapping[str, int]:
        experiment = int(run.experiment_id)
        row = tx.one(
            "INSERT INTO runs (uuid, experiment, shelf, name, user_id, status, start_ms, end_ms, "
            "artifact_uri, document) VALUES (?,?,?,?,?,?,?,?,?,?) RETURNING id",
            (
                run.id,
                experiment,
                2 * experiment,
                run.name,
                run.user,
                run.status,
                run.start_ms,
                run.end_ms,
                run.artifact_uri,
                _text(_Document(run.params, run.tags)),
            ),
        )
        place = (row[0] if row else 0, 2 * experiment)
        return self._add_terms(tx, place, run.params, run.tags)

    def place(self, reader: Reader, run_id: str) -> Place | None:
        row = reader.one(_PLACE, (run_id,))
        if row is None:
            return None
        live = row[3] == 2 * row[2] and row[5] == "active"
        return Place(row[0], row[1], row[2], row[3], row[4], "active" if live else "deleted")

    def save(self, tx: Transaction, place: Place, run: Run, was: Run) -> None:
        shelf = 2 * place.experiment + (run.state == "deleted")
        seen = ", seen_ms = NULL" if run.status in ENDED else ""
        tx.run(
            f"UPDATE runs SET status = ?, end_ms = ?, shelf = ?{seen} WHERE id = ?",
            (run.status, run.end_ms, shelf, place.number),
        )
        if (run.name, run.params, run.tags) != (was.name, was.params, was.tags):
            document = _text(_Document(run.params, run.tags))
            values = (run.name, document, place.number)
            tx.run("UPDATE runs SET name = ?, document = ? WHERE id = ?", values)
            self._add_terms(tx, (place.number, shelf), {}, {NAME_TAG: run.name})
        if shelf != place.shelf:
            for table in ("latest", "run_terms"):
                tx.run(f"UPDATE {table} SET shelf = ? WHERE run = ?", (shelf, place.number))

    def log(self, tx: Transaction, place: Place, batch: Batch) -> Mapping[str, int]:
        names = {f"m:{key}" for key in set(map(itemgetter(0), batch.points))}
        names |= {f"m:{key}" for key in batch.series}
        names |= {f"m:{entry.point.key}" for entry in batch.model_points}
        names |= {f"p:{key}" for key, _ in batch.params} | {f"t:{key}" for key, _ in batch.tags}
        numbers = self._fields.numbers(tx, names)
        if batch.params or batch.tags:
            self._log_terms(tx, place, batch, numbers)
        if batch.points or batch.series:
            self._log_points(tx, place, batch, numbers)
        if batch.model_points:
            add_model_points(tx, batch.model_points, numbers)
        return numbers

    def untag(self, tx: Transaction, place: Place, key: str) -> bool:
        document = self._document(tx, place)
        if document.tags.pop(key, None) is None:
            return False
        tx.run("UPDATE runs SET document = ? WHERE id = ?", (_text(document), place.number))
        number = self._fields.numbers(tx, [f"t:{key}"])[f"t:{key}"]
        tx.run("DELETE FROM run_terms WHERE run = ? AND field = ?", (place.number, number))
        return True

    def link(
        self,
        tx: Transaction,
        place: Place,
        *,
        datasets: Sequence[DatasetInput] = (),
        models: Sequence[ModelLink] = (),
    ) -> None:
        if datasets:
            add_datasets(tx, place, datasets)
        if models:
            add_models(tx, place, models)

    def load(self, reader: Reader, numbers: Sequence[int], *, whole: bool = True) -> list[Run]:
        runs: list[Run] = []
        for part in chunks(numbers):
            rows = reader.all(
                f"SELECT {_ROW} FROM runs r JOIN experiments e ON e.id = r.experiment "
                f"WHERE r.id IN ({marks(part)})",
                part,
            )
            metrics = self._metrics(reader, part) if whole else {}
            datasets, models = links_of(reader, part) if whole else ({}, {})
            found = {
                row[0]: _run(row, metrics.get(row[0], ()), datasets.get(row[0], ()), models)
                for row in rows
            }
            runs.extend(found[number] for number in part if number in found)
        return runs

    def search(self, reader: Reader, query: RunQuery) -> list[Hit]:
        return search_runs(reader, query, fields=self._fields, dialect=self._dialect)

    def history(
        self, reader: Reader, place: Place, key: str, *, after: Sequence[Any] | None, limit: int
    ) -> Columns:
        field = self._fields.existing(reader, [f"m:{key}"]).get(f"m:{key}")
        if field is None:
            return nothing()
        start = (after[0], after[1], after[2], after[3]) if after else None
        return read(reader, (place.number, field), after=start, limit=limit)

    def seen(self, tx: Transaction, run_ids: Sequence[str], now_ms: int) -> None:
        for part in chunks(run_ids):
            tx.run(
                f"UPDATE runs SET seen_ms = ? WHERE uuid IN ({marks(part)}) AND status = 'RUNNING'",
                (now_ms, *part),
            )

    def silent(self, reader: Reader, before_ms: int) -> list[str]:
        rows = reader.all(
            "SELECT uuid FROM runs WHERE seen_ms < ? AND status = 'RUNNING'", (before_ms,)
        )
        return [row[0] for row in rows]

    def learn(self, names: Mapping[str, int]) -> None:
        self._fields.learn(names)

    # -- inside ---------------------------------------------------------------------------------

    def _log_points(
        self, tx: Transaction, place: Place, batch: Batch, numbers: Mapping[str, int]
    ) -> None:
        fields = {name[2:]: number for name, number in numbers.items() if name[0] == "m"}
        latest = self._points.add(tx, place.number, batch.points, fields, batch.series)
        tx.many(
            _LATEST,
            [
                (place.number, field, place.shelf, place.start_ms, value, nan, step, time_ms)
                for field, (time_ms, step, value, nan) in latest.items()
            ],
        )

    def _log_terms(
        self, tx: Transaction, place: Place, batch: Batch, numbers: Mapping[str, int]
    ) -> None:
        document = self._document(tx, place)
        for key, value in batch.params:
            stored = document.params.setdefault(key, value)
            if stored != value:
                raise Conflict(
                    "tracking.param_changed",
                    f"Changing param values is not allowed. Param with key='{key}' was already "
                    f"logged with value='{stored[:200]}' for run ID='{place.run_id}'. "
                    f"Attempted logging new value '{value[:200]}'.",
                    hint="Log it under another key, or in another run.",
                    key=key,
                )
        document.tags.update(batch.tags)
        name = document.tags.get(NAME_TAG, "") if any(k == NAME_TAG for k, _ in batch.tags) else ""
        tx.run(
            f"UPDATE runs SET document = ?{', name = ?' if name else ''} WHERE id = ?",
            (_text(document), *([name] if name else []), place.number),
        )
        terms = {f"p:{key}": value for key, value in batch.params}
        terms |= {f"t:{key}": value for key, value in batch.tags}
        rows = [(place.number, numbers[name], place.shelf, value) for name, value in terms.items()]
        tx.many(_TERM, rows)

    def _add_terms(
        self,
        tx: Transaction,
        where: tuple[int, int],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> Mapping[str, int]:
        terms = {f"p:{key}": value for key, value in params.items()}
        terms |= {f"t:{key}": value for key, value in tags.items()}
        numbers = self._fields.numbers(tx, terms)
        number, shelf = where
        tx.many(_TERM, [(number, numbers[name], shelf, value) for name, value in terms.items()])
        return numbers

    def _document(self, reader: Reader, place: Place) -> _Document:
        row = reader.one("SELECT document FROM runs WHERE id = ?", (place.number,))
        return _decode(row[0]) if row else _Document({}, {})

    def _metrics(self, reader: Reader, numbers: Sequence[int]) -> dict[int, list[Point]]:
        rows = reader.all(
            "SELECT run, field, value, nan, step, time_ms FROM latest "
            f"WHERE run IN ({marks(numbers)})",
            numbers,
        )
        names = self._fields.names(reader, {row[1] for row in rows})
        found: dict[int, list[Point]] = {}
        for run, field, value, nan, step, time_ms in rows:
            point = Point(names[field][2:], _value(value, nan), step, time_ms)
            found.setdefault(run, []).append(point)
        return found


def _value(value: float, nan: int) -> float:
    return float("nan") if nan else value


def _text(document: _Document) -> str:
    return _encode(document).decode()


def _run(
    row: Row,
    metrics: Sequence[Point],
    datasets: Sequence[DatasetInput],
    models: Mapping[int, list[ModelLink]],
) -> Run:
    document = _decode(row[11])
    live = row[9] == 2 * row[2] and row[10] == "active"
    return Run(
        id=RunId(row[1]),
        experiment_id=str(row[2]),
        name=row[3],
        status=row[4],
        start_ms=row[5],
        end_ms=row[6],
        user=row[7],
        artifact_uri=row[8],
        state="active" if live else "deleted",
        params=document.params,
        tags=document.tags,
        metrics=tuple(metrics),
        datasets=tuple(datasets),
        models=tuple(models.get(row[0], ())),
    )
