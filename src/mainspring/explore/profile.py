"""A profile: a handful of SQL queries over one dataset version, shaped into plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mainspring.core.schema import Column, ColumnType
from mainspring.data import DatasetVersion
from mainspring.data.sql import names, quoted
from mainspring.explore.rules import warnings
from mainspring.explore.types import (
    Bin,
    ColumnProfile,
    Correlation,
    Profile,
    TargetProfile,
    TopValue,
)
from mainspring.ports.tables import Relation, Tables

BINS: Final = 20
TOP: Final = 10
MAX_CORRELATED: Final = 40  # columns; the pairs grow with the square
_QUANTILES: Final = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
_NUMBERS: Final[frozenset[ColumnType]] = frozenset({"integer", "number"})
_MOMENTS: Final[frozenset[ColumnType]] = frozenset({"timestamp", "date"})
_DIGITS: Final = 12  # floats are told to so many digits: the rest depends on the order of adding

Row = Mapping[str, Any]


def profile(tables: Tables, version: DatasetVersion, *, target_sql: str | None = None) -> Profile:
    """The picture of a dataset version; with a target, also what each column says about it.

    ``target_sql`` is a number or condition over one row; null where there is no target.
    Errors: ``tables.bad_query`` when the target's SQL does not work.
    """
    relations: dict[str, Relation] = {"rows": version.relation}
    columns = version.schema.columns
    basics = _one(tables.query(_basics(columns), relations))
    rows = int(basics["rows"])
    numeric = [column for column in columns if column.type in _NUMBERS | _MOMENTS]
    quantiles = _one(tables.query(_quantiles(numeric), relations)) if numeric and rows else {}
    target = _target(tables, relations, target_sql) if target_sql else None
    profiles = tuple(
        _column(tables, relations, place, (basics, quantiles), target)
        for place in enumerate(columns)
    )
    pairs = _correlations(tables, relations, columns) if rows else ()
    duplicates = _duplicates(tables, relations, version)
    return Profile(
        dataset=version.dataset,
        version=version.version,
        rows=rows,
        duplicate_rows=duplicates,
        columns=profiles,
        correlations=pairs,
        target=target,
        warnings=warnings(rows, duplicates, profiles, pairs, target),
    )


# -- queries ----------------------------------------------------------------------------------


def _value(column: Column) -> str:
    """The column as a number on a line; moments in seconds."""
    name = quoted(column.name)
    if column.type == "timestamp":
        return f"(epoch_us({name}) / 1e6)"
    if column.type == "date":
        return f"CAST(epoch({name}) AS DOUBLE)"
    return f"CAST({name} AS DOUBLE)"


def _basics(columns: Sequence[Column]) -> str:
    words = ["count(*) AS rows"]
    for index, column in enumerate(columns):
        name = quoted(column.name)
        words.append(f"count({name}) AS c{index}")
        words.append(f"approx_count_distinct({name}) AS d{index}")
        words.append(f"CAST(min({name}) AS VARCHAR) AS l{index}")
        words.append(f"CAST(max({name}) AS VARCHAR) AS h{index}")
        if column.type in _NUMBERS:
            words.append(f"avg({_value(column)}) AS m{index}")
            words.append(f"stddev_samp({_value(column)}) AS s{index}")
            words.append(f"count(*) FILTER ({name} = 0) AS z{index}")
    return f"SELECT {', '.join(words)} FROM rows"


def _quantiles(columns: Sequence[Column]) -> str:
    words = [
        f"quantile_cont({_value(column)}, {share}) AS {quoted(f'{column.name} {share}')}"
        for column in columns
        for share in _QUANTILES
    ]
    return f"SELECT {', '.join(words)} FROM rows"


def _duplicates(tables: Tables, relations: Mapping[str, Relation], version: DatasetVersion) -> int:
    """Rows that are copies of others in everything but their key."""
    rest = [name for name in version.schema.names if name not in version.spec.key]
    if not rest:
        return 0
    sql = (
        f"SELECT coalesce(sum(n - 1), 0) AS extra FROM (SELECT count(*) AS n FROM rows "
        f"GROUP BY {names(rest)} HAVING count(*) > 1)"
    )
    return int(tables.query(sql, relations)["extra"][0])


def _target(tables: Tables, relations: Mapping[str, Relation], sql: str) -> TargetProfile:
    found = _one(
        tables.query(
            "SELECT count(*) AS n, count(y) AS c, count(DISTINCT y) AS k, avg(y) AS m, "
            f"stddev_samp(y) AS s FROM (SELECT CAST(({sql}) AS DOUBLE) AS y FROM rows)",
            relations,
        )
    )
    return TargetProfile(
        sql=sql,
        rows=int(found["c"]),
        missing=int(found["n"]) - int(found["c"]),
        classes=int(found["k"]),
        mean=_float(found["m"]),
        deviation=_float(found["s"]),
    )


def _correlations(
    tables: Tables, relations: Mapping[str, Relation], columns: Sequence[Column]
) -> tuple[Correlation, ...]:
    """Every pair of number columns, the strongest first."""
    numeric = [column for column in columns if column.type in _NUMBERS][:MAX_CORRELATED]
    pairs = [(a, b) for index, a in enumerate(numeric) for b in numeric[index + 1 :]]
    if not pairs:
        return ()
    words = [f"corr({_value(a)}, {_value(b)}) AS p{index}" for index, (a, b) in enumerate(pairs)]
    found = _one(tables.query(f"SELECT {', '.join(words)} FROM rows", relations))
    made = [
        Correlation(first=a.name, second=b.name, coefficient=value)
        for index, (a, b) in enumerate(pairs)
        if (value := _float(found[f"p{index}"])) is not None
    ]
    return tuple(sorted(made, key=lambda pair: (-abs(pair.coefficient), pair.first, pair.second)))


# -- columns ----------------------------------------------------------------------------------


def _column(
    tables: Tables,
    relations: Mapping[str, Relation],
    place: tuple[int, Column],
    found: tuple[Row, Row],
    target: TargetProfile | None,
) -> ColumnProfile:
    index, column = place
    basics, all_quantiles = found
    rows, present = int(basics["rows"]), int(basics[f"c{index}"])
    quantiles = {
        f"p{share * 100:g}": value
        for share in _QUANTILES
        if (value := _float(all_quantiles.get(f"{column.name} {share}"))) is not None
    }
    numeric = column.type in _NUMBERS
    return ColumnProfile(
        name=column.name,
        type=column.type,
        rows=rows,
        nulls=rows - present,
        null_ratio=_float((rows - present) / rows) or 0.0 if rows else 0.0,
        distinct=min(int(basics[f"d{index}"]), present),
        low=basics[f"l{index}"],
        high=basics[f"h{index}"],
        mean=_float(basics[f"m{index}"]) if numeric else None,
        deviation=_float(basics[f"s{index}"]) if numeric else None,
        zeros=int(basics[f"z{index}"]) if numeric else None,
        quantiles=quantiles,
        histogram=_histogram(tables, relations, column, quantiles),
        top_values=_top_values(tables, relations, column),
        association=_association(tables, relations, column, target),
    )


def _histogram(
    tables: Tables,
    relations: Mapping[str, Relation],
    column: Column,
    quantiles: Mapping[str, float],
) -> tuple[Bin, ...]:
    """Equal stretches from the least to the greatest value."""
    if "p0" not in quantiles or quantiles["p0"] == quantiles["p100"]:
        return ()
    low, high = quantiles["p0"], quantiles["p100"]
    width = (high - low) / BINS
    found = tables.query(
        f"SELECT greatest(0, least({BINS - 1}, CAST(floor((x - $low) / $width) AS BIGINT))) AS bin, "
        f"count(*) AS n FROM (SELECT {_value(column)} AS x FROM rows) WHERE x IS NOT NULL "
        "GROUP BY bin ORDER BY bin",
        relations,
        {"low": low, "width": width},
    )
    counts = dict(zip(found["bin"].tolist(), found["n"].tolist(), strict=True))
    edges = [low + width * place for place in range(BINS)] + [high]
    return tuple(
        Bin(low=edges[place], high=edges[place + 1], rows=int(counts.get(place, 0)))
        for place in range(BINS)
    )


def _top_values(
    tables: Tables, relations: Mapping[str, Relation], column: Column
) -> tuple[TopValue, ...]:
    if column.type in {"number", "timestamp", "binary"}:
        return ()
    name = quoted(column.name)
    found = tables.query(
        f"SELECT CAST({name} AS VARCHAR) AS value, count(*) AS n FROM rows "
        f"WHERE {name} IS NOT NULL GROUP BY value ORDER BY n DESC, value LIMIT {TOP}",
        relations,
    )
    return tuple(
        TopValue(value=str(value), rows=int(n))
        for value, n in zip(found["value"], found["n"], strict=True)
    )


def _association(
    tables: Tables,
    relations: Mapping[str, Relation],
    column: Column,
    target: TargetProfile | None,
) -> float | None:
    """Epsilon squared of the target over the column's values (numbers: in twentieths by rank).

    Source: Kelley, "An unbiased correlation ratio measure", PNAS 21 (1935): the share of variance
    between groups, corrected so that a column of pure noise has zero on average.
    """
    if target is None or target.classes < 2 or column.type == "binary":  # noqa: PLR2004
        return None
    group = f"CAST({quoted(column.name)} AS VARCHAR)"
    if column.type in _NUMBERS | _MOMENTS:
        # Equal values stay together: their place is that of the first of them.
        group = f"((rank() OVER (ORDER BY {_value(column)}) - 1) * {BINS} // count(*) OVER ())"
    found = _one(
        tables.query(
            "SELECT sum(n) AS n, count(*) AS k, sum(n * mean * mean) AS between_, sum(squares) AS "
            "squares, sum(n * mean) AS total FROM (SELECT count(*) AS n, avg(y) AS mean, "
            f"sum(y * y) AS squares FROM (SELECT {group} AS g, y FROM (SELECT *, "
            f"CAST(({target.sql}) AS DOUBLE) AS y FROM rows) WHERE y IS NOT NULL "
            f"AND {quoted(column.name)} IS NOT NULL) GROUP BY g)",
            relations,
        )
    )
    return epsilon_squared(found)


def epsilon_squared(found: Row) -> float | None:
    """The corrected share of variance between groups, from counts and sums; None when undefined."""
    n, k = _float(found["n"]) or 0.0, _float(found["k"]) or 0.0
    if n <= k or k < 2 or n < 3:  # noqa: PLR2004 - no freedom left
        return None
    grand = (_float(found["total"]) or 0.0) ** 2 / n
    total = (_float(found["squares"]) or 0.0) - grand
    between = (_float(found["between_"]) or 0.0) - grand
    if total <= 0:
        return None
    within = (total - between) / (n - k)
    return _float(min(1.0, max(0.0, 1 - within / (total / (n - 1)))))


def _one(frame: Mapping[str, Any]) -> Row:
    return {name: values[0] for name, values in frame.items()}


def _float(value: object) -> float | None:
    """A number to so many digits that every run tells the same; None for none."""
    if value is None:
        return None
    number = float(value)  # type: ignore[arg-type]
    return float(f"{number:.{_DIGITS}g}") if math.isfinite(number) else None
