"""A slow second opinion on built features: another way to the same numbers.

For each sampled row and view, the facts are first cut to those known at the row's T, and only
then asked, by plain filters and aggregates: no running sums, no ASOF joins, no staircase. Whole
numbers are added here too, so the comparison is to the bit.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mainspring.core.time import from_micros
from mainspring.data.sql import literal, names, quoted
from mainspring.features.records import FeatureBuild
from mainspring.features.request import Request, end_shift, micros
from mainspring.features.types import (
    LatestView,
    Measure,
    PendingView,
    PlannedView,
    RollingView,
    RowView,
)
from mainspring.features.windows import MINUTE_MICROS, window_label
from mainspring.ports.tables import Relation, Tables

if TYPE_CHECKING:
    Question = Mapping[str, Any]

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Recomputed:
    """How many rows and values were computed again, and where they differ."""

    sampled: int
    compared: int
    mismatches: tuple[str, ...]


def recomputed(
    tables: Tables,
    build: FeatureBuild,
    request: Request,
    relations: Mapping[str, Relation],
    *,
    sample: int,
    seed: int,
) -> Recomputed:
    """The features of a sample of rows, made again and compared with what is stored."""
    rows = _sample(tables, build, request, relations, (sample, seed))
    queries = _queries(build, request)
    compared, mismatches = 0, []
    for row in rows:
        for columns, sql, needs_keys in queries:
            if any(row[f"k_{key}"] is None for key in needs_keys):
                found: Mapping[str, Any] = dict.fromkeys(columns)
            else:
                found = _one(tables, sql, row, needs_keys, relations)
            for column in columns:
                if f"f_{column}" not in row:
                    continue
                compared += 1
                if _bits(found.get(column)) != _bits(row[f"f_{column}"]):
                    mismatches.append(
                        f"{row['row_key']}: {column} is {row[f'f_{column}']}, "
                        f"recomputed {found.get(column)}"
                    )
    return Recomputed(len(rows), compared, tuple(mismatches[:_SHOWN]))


def newest(tables: Tables, relation: Relation, column: str | None) -> datetime | None:
    """The greatest moment of a column."""
    if column is None:
        return None
    sql = f"SELECT CAST(epoch_us(max({quoted(column)})) AS VARCHAR) AS newest FROM rows"
    found = tables.query(sql, {"rows": relation})["newest"][0]
    return from_micros(int(found)) if found is not None else None


def _sample(
    tables: Tables,
    build: FeatureBuild,
    request: Request,
    relations: Mapping[str, Relation],
    how: tuple[int, int],
) -> list[dict[str, Any]]:
    """Rows of the last built stretch, drawn by a hash of key and seed, with all we need of them."""
    size, seed = how
    keys = sorted({key for view in build.definition.views for key in getattr(view, "keys", ())})
    columns = [column.name for column in build.columns]
    parts = [f"CAST(r.{quoted(key)} AS VARCHAR) AS {quoted('k_' + key)}" for key in keys]
    parts += [f"b.{quoted(name)} AS {quoted('f_' + name)}" for name in columns]
    where = ["true"]
    if build.start is not None:
        where.append(f"b.event_time >= {literal(build.start)}")
    if build.end is not None:
        where.append(f"b.event_time < {literal(build.end)}")
    from mainspring.features.point_in_time import row_key

    sql = (
        f"SELECT b.row_key, CAST(epoch_us(b.prediction_time) AS VARCHAR) AS t"
        f"{''.join(', ' + part for part in parts)} FROM (SELECT * FROM built b "
        f"WHERE {' AND '.join(where)} ORDER BY md5(row_key || '{int(seed)}') LIMIT {int(size)}) b "
        f"JOIN rows r ON {row_key(request.rows.spec.key, 'r')} = b.row_key ORDER BY b.row_key"
    )
    found = tables.query(sql, {"built": build.relation, "rows": relations["rows"]})
    count = len(found["row_key"])
    return [{name: _plain(values[i]) for name, values in found.items()} for i in range(count)]


def _queries(build: FeatureBuild, request: Request) -> list[tuple[list[str], str, tuple[str, ...]]]:
    """Per view: its columns, the SQL of one row's values, and the keys it asks by."""
    found: list[tuple[list[str], str, tuple[str, ...]]] = []
    for view in build.definition.views:
        if isinstance(view, LatestView):
            found.append((list(view.columns), _latest(view, request), tuple(view.keys)))
        elif isinstance(view, RollingView):
            found.append((*_rolling(view, request), tuple(view.keys)))
        elif isinstance(view, PendingView):
            found.append((*_pending(view, request), tuple(view.keys)))
        elif isinstance(view, PlannedView):
            found.append((*_planned(view, request), tuple(view.keys)))
        elif isinstance(view, RowView):
            continue  # a row feature is its own expression: there is no second way to it
    return found


def _matches(keys: Mapping[str, str]) -> str:
    parts = [f"CAST({quoted(theirs)} AS VARCHAR) = ${mine}" for mine, theirs in keys.items()]
    return " AND ".join(_numbered(keys, parts)) or "true"


def _numbered(keys: Mapping[str, str], parts: list[str]) -> list[str]:
    # Values are bound by number: a column's name need not be a word that SQL can bind.
    return [
        part.rpartition("$")[0] + f"$key_{index}"
        for index, part in zip(range(len(keys)), parts, strict=True)
    ]


def _known(view: RollingView | LatestView, request: Request) -> str:
    spec = request.facts[view.dataset].spec
    column = view.known_at or spec.known_at or spec.time
    return f"epoch_us({quoted(column)})" if column else "CAST(NULL AS BIGINT)"


def _latest(view: LatestView, request: Request) -> str:
    side = request.facts[view.dataset]
    shift = end_shift(view.before_event, view.before_prediction, request.before_micros)
    values = ", ".join(f"({sql}) AS {quoted(name)}" for name, sql in view.columns.items())
    facts = quoted(f"facts_{view.dataset}")
    tie = f"CAST(row({names(side.schema.names)}) AS VARCHAR)"
    conditions = [_matches(view.keys)]
    order = f"{tie} DESC"
    time = side.spec.time
    known = _known(view, request)
    if view.known_at or side.spec.known_at or time:
        conditions.append(f"{known} <= $t")
        order = f"{known} DESC, {order}"
    if time:
        conditions.append(f"epoch_us({quoted(time)}) <= $t - {shift}")
        order = f"epoch_us({quoted(time)}) DESC, {order}"
    newest_fact = f"SELECT * FROM {facts} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT 1"
    old = (
        f" WHERE epoch_us({quoted(time)}) >= $t - {micros(view.max_age)}"
        if time and view.max_age
        else ""
    )
    return f"SELECT {values} FROM ({newest_fact}){old}"


def _rolling(view: RollingView, request: Request) -> tuple[list[str], str]:
    shift = max(end_shift(view.before_event, view.before_prediction, request.before_micros), 0)
    known = _known(view, request)
    columns, parts = [], []
    for text in view.windows:
        inside = f"_k > $t - {shift} - {micros(text)} AND _k <= $t - {shift}"
        for name, measure in view.measures.items():
            columns.append(f"{view.name}_{name}_{window_label(text)}")
            parts.append(f"{_aggregate(measure, inside, view.at_least)} AS {quoted(columns[-1])}")
    # Whatever the windows say: nothing that was not known at T takes part.
    facts = (
        f"SELECT *, {known} AS _k FROM {quoted(f'facts_{view.dataset}')} "
        f"WHERE {known} <= $t AND {_matches(view.keys)}"
    )
    return columns, f"SELECT {', '.join(parts)} FROM ({facts})"


def _planned(view: PlannedView, request: Request) -> tuple[list[str], str]:
    time = f"epoch_us({quoted(request.rows.spec.time or '')})"
    event = f"($t + {request.before_micros})"
    inside = f"_k BETWEEN {event} - {micros(view.before)} AND {event} + {micros(view.after)}"
    columns = [f"{view.name}_{name}" for name in view.measures]
    parts = [
        f"{_aggregate(measure, inside, 1)} AS {quoted(column)}"
        for column, measure in zip(columns, view.measures.values(), strict=True)
    ]
    plan = (
        f"SELECT {names(request.known_ahead)}, {time} AS _k FROM rows WHERE {_matches(view.keys)}"
    )
    return columns, f"SELECT {', '.join(parts)} FROM ({plan})"


def _pending(view: PendingView, request: Request) -> tuple[list[str], str]:
    since, until = (f"epoch_us({quoted(name)})" for name in (view.since, view.until))
    words = {
        "count": "CAST(count(*) AS DOUBLE)",
        "minutes": f"CAST(coalesce(sum(CAST($t AS HUGEINT) - {since}), 0) AS DOUBLE) / {MINUTE_MICROS}",
    }
    columns = [f"{view.name}_{measure}" for measure in view.measures]
    parts = [
        f"{words[measure]} AS {quoted(column)}"
        for column, measure in zip(columns, view.measures, strict=True)
    ]
    return columns, (
        f"SELECT {', '.join(parts)} FROM {quoted(f'facts_{view.dataset}')} "
        f"WHERE {since} <= $t AND ({until} IS NULL OR ({until} > $t AND {until} > {since})) "
        f"AND ({view.where or 'true'}) AND {_matches(view.keys)}"
    )


def _aggregate(measure: Measure, inside: str, at_least: int) -> str:
    where = f"{inside} AND ({measure.where})" if measure.where else inside
    value = f"({measure.sql})"
    if measure.kind == "count":
        return f"CAST(count(*) FILTER ({where}) AS DOUBLE)"
    there = f"{where} AND {value} IS NOT NULL"
    if measure.kind in {"highest", "lowest"}:
        function = "max" if measure.kind == "highest" else "min"
        return f"{function}(CAST({value} AS DOUBLE)) FILTER ({there})"
    rows = f"count(*) FILTER ({there})"
    if measure.kind == "share":
        return (
            f"CASE WHEN {rows} >= {max(at_least, 1)} THEN "
            f"CAST(count(*) FILTER ({where} AND {value}) AS DOUBLE) / {rows} END"
        )
    scale = 10**measure.decimals
    amount = f"CAST(coalesce(sum(CAST(round({value} * {scale}) AS BIGINT)) FILTER ({there}), 0) AS DOUBLE)"
    if measure.kind == "total":
        return f"{amount} / {scale}"
    return f"CASE WHEN {rows} >= {max(at_least, 1)} THEN {amount} / ({rows} * {scale}) END"


def _one(
    tables: Tables,
    sql: str,
    row: Question,
    keys: tuple[str, ...],
    relations: Mapping[str, Relation],
) -> dict[str, Any]:
    values: dict[str, Any] = {f"key_{i}": row[f"k_{key}"] for i, key in enumerate(keys)}
    if "$t" in sql and row["t"] is not None:
        values["t"] = int(row["t"])
    found = tables.query(sql, relations, values)
    return {name: _plain(column[0]) if len(column) else None for name, column in found.items()}


def _plain(value: Any) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and plain != plain else plain  # noqa: PLR0124 - NaN


def _bits(value: Any) -> bytes | str | None:
    """What must agree: the eight bytes of a number, a text as it is."""
    if value is None or isinstance(value, str):
        return value
    return struct.pack("<d", float(value) + 0.0)
