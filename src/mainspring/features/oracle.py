"""A slow second opinion on built features: another way to the same numbers.

For each sampled row and view, the facts are first cut to those known at the row's T, and only
then asked, by plain filters and aggregates: no running sums, no ASOF joins, no staircase. Whole
numbers are added here too, so the comparison is to the bit.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainspring.core.time import from_micros
from mainspring.data.sql import literal, names, quoted
from mainspring.features.records import FeatureBuild
from mainspring.features.request import Request, end_shift, micros
from mainspring.features.streams import window_label
from mainspring.features.types import (
    LatestView,
    Measure,
    PendingView,
    PlannedView,
    RollingView,
)
from mainspring.ports.tables import Relation, Tables

Row = dict[str, Any]
_SHOWN = 20
MINUTE_MICROS = 60_000_000


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
    compared, mismatches = 0, []
    for columns, sql, keys in _queries(build, request):
        kept = [column for column in columns if rows and f"f_{column}" in rows[0]]
        found = _answers(tables, sql, rows, keys, relations) if kept else {}
        for row in rows:
            mine = found.get(row["row_key"], {})
            for column in kept:
                compared += 1
                stored, again = row[f"f_{column}"], mine.get(column)
                if _bits(stored) != _bits(again):
                    difference = f"{row['row_key']}: {column} is {stored}, recomputed {again}"
                    mismatches.append(difference)
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


def _answers(
    tables: Tables,
    sql: str,
    rows: Sequence[Row],
    keys: tuple[str, ...],
    relations: Mapping[str, Relation],
) -> dict[str, dict[str, Any]]:
    """A view's values for each row that has all keys, by ``row_key``."""
    import numpy as np

    asking = [row for row in rows if all(row[f"k_{key}"] is not None for key in keys)]
    if not asking:
        return {}
    asked: dict[str, Any] = {
        "_q_id": np.array([row["row_key"] for row in asking], dtype=object),
        "_q_t": np.array([int(row["t"] or 0) for row in asking], dtype=np.int64),
    }
    for index, key in enumerate(keys):
        asked[f"_q_k{index}"] = np.array([row[f"k_{key}"] for row in asking], dtype=object)
    found = tables.query(sql, {**relations, "asked": asked})
    columns = [name for name in found if name != "_q_id"]
    return {
        str(key): {name: _plain(found[name][index]) for name in columns}
        for index, key in enumerate(found["_q_id"])
    }


def _queries(build: FeatureBuild, request: Request) -> list[tuple[list[str], str, tuple[str, ...]]]:
    """Per view: its columns, the SQL of their values for ``asked``, and the keys it asks by.

    A row feature is its own expression: there is no second way to it.
    """
    found: list[tuple[list[str], str, tuple[str, ...]]] = []
    for view in build.definition.views:
        if isinstance(view, LatestView):
            found.append((list(view.columns), _latest(view, request), tuple(view.keys)))
        elif isinstance(view, RollingView):
            found.append((*_rolling(view, request), tuple(view.keys)))
        elif isinstance(view, PendingView):
            found.append((*_pending(view), tuple(view.keys)))
        elif isinstance(view, PlannedView):
            found.append((*_planned(view, request), tuple(view.keys)))
    return found


def _matches(keys: Mapping[str, str]) -> str:
    parts = [
        f"CAST({quoted(theirs)} AS VARCHAR) = _q_k{index}"
        for index, theirs in enumerate(keys.values())
    ]
    return " AND ".join(parts) or "true"


def _known(view: RollingView | LatestView, request: Request) -> str:
    spec = request.facts[view.dataset].spec
    column = view.known_at or spec.known_at or spec.time
    return f"epoch_us({quoted(column)})" if column else "CAST(NULL AS BIGINT)"


def _latest(view: LatestView, request: Request) -> str:
    side = request.facts[view.dataset]
    shift = end_shift(view.before_event, view.before_prediction, request.before_micros)
    values = ", ".join(f"({sql}) AS {quoted(name)}" for name, sql in view.columns.items())
    facts = quoted(f"facts_{view.dataset}")
    conditions = [_matches(view.keys)]
    order = f"CAST(row({names(side.schema.names)}) AS VARCHAR) DESC"
    time = side.spec.time
    known = _known(view, request)
    if view.known_at or side.spec.known_at or time:
        conditions.append(f"{known} <= _q_t")
        order = f"{known} DESC, {order}"
    if time:
        conditions.append(f"epoch_us({quoted(time)}) <= _q_t - {shift}")
        order = f"epoch_us({quoted(time)}) DESC, {order}"
    newest_fact = (
        f"SELECT * FROM asked JOIN {facts} ON {' AND '.join(conditions)} "
        f"QUALIFY row_number() OVER (PARTITION BY _q_id ORDER BY {order}) = 1"
    )
    fresh = ""
    if time and view.max_age:
        fresh = f" WHERE epoch_us({quoted(time)}) >= _q_t - {micros(view.max_age)}"
    return f"SELECT _q_id, {values} FROM ({newest_fact}){fresh}"


def _rolling(view: RollingView, request: Request) -> tuple[list[str], str]:
    shift = max(end_shift(view.before_event, view.before_prediction, request.before_micros), 0)
    known = _known(view, request)
    columns, parts = [], []
    for text in view.windows:
        inside = f"_k > _q_t - {shift} - {micros(text)} AND _k <= _q_t - {shift}"
        for name, measure in view.measures.items():
            columns.append(f"{view.name}_{name}_{window_label(text)}")
            parts.append(f"{_aggregate(measure, inside, view.at_least)} AS {quoted(columns[-1])}")
    # Whatever the windows say: nothing that was not known at T takes part.
    return columns, (
        f"SELECT _q_id, {', '.join(parts)} FROM asked LEFT JOIN (SELECT *, {known} AS _k "
        f"FROM {quoted(f'facts_{view.dataset}')}) ON _k <= _q_t AND {_matches(view.keys)} "
        "GROUP BY _q_id"
    )


def _planned(view: PlannedView, request: Request) -> tuple[list[str], str]:
    time = f"epoch_us({quoted(request.rows.spec.time or '')})"
    event = f"(_q_t + {request.before_micros})"
    inside = f"_k BETWEEN {event} - {micros(view.before)} AND {event} + {micros(view.after)}"
    columns = [f"{view.name}_{name}" for name in view.measures]
    parts = [
        f"{_aggregate(measure, inside, 1)} AS {quoted(column)}"
        for column, measure in zip(columns, view.measures.values(), strict=True)
    ]
    return columns, (
        f"SELECT _q_id, {', '.join(parts)} FROM asked LEFT JOIN "
        f"(SELECT {names(request.known_ahead)}, {time} AS _k FROM all_rows) "
        f"ON {_matches(view.keys)} GROUP BY _q_id"
    )


def _pending(view: PendingView) -> tuple[list[str], str]:
    since, until = (f"epoch_us({quoted(name)})" for name in (view.since, view.until))
    inside = f"{since} IS NOT NULL"
    lasted = f"coalesce(sum(CAST(_q_t AS HUGEINT) - {since}) FILTER ({inside}), 0)"
    words = {
        "count": f"CAST(count(*) FILTER ({inside}) AS DOUBLE)",
        "minutes": f"CAST({lasted} AS DOUBLE) / {MINUTE_MICROS}",
    }
    columns = [f"{view.name}_{measure}" for measure in view.measures]
    parts = [
        f"{words[measure]} AS {quoted(column)}"
        for column, measure in zip(columns, view.measures, strict=True)
    ]
    return columns, (
        f"SELECT _q_id, {', '.join(parts)} FROM asked LEFT JOIN {quoted(f'facts_{view.dataset}')} "
        f"ON {since} <= _q_t AND ({until} IS NULL OR ({until} > _q_t AND {until} > {since})) "
        f"AND ({view.where or 'true'}) AND {_matches(view.keys)} GROUP BY _q_id"
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


def _plain(value: Any) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and plain != plain else plain  # noqa: PLR0124 - NaN


def _bits(value: Any) -> bytes | str | None:
    """What must agree: the eight bytes of a number, a text as it is."""
    if value is None or isinstance(value, str):
        return value
    return struct.pack("<d", float(value) + 0.0)
