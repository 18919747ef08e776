"""Cleaning steps as one SQL query: raw columns in, cleaned columns out. Pure text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.core.schema import Column, ColumnType, Schema
from mainspring.data.sql import names, quoted
from mainspring.data.types import Cleaning, Dataset

POSITION: Final = "_position"
PERIOD: Final = "_period"
FLAWS: Final = "_flaws"
SOURCE_ROWS: Final = "_source_rows"
RESERVED: Final = frozenset({POSITION, PERIOD, FLAWS, SOURCE_ROWS})

_TYPES: Final[dict[str, ColumnType]] = {
    "BOOLEAN": "boolean",
    "TINYINT": "integer",
    "SMALLINT": "integer",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "HUGEINT": "integer",
    "UTINYINT": "integer",
    "USMALLINT": "integer",
    "UINTEGER": "integer",
    "UBIGINT": "integer",
    "UHUGEINT": "integer",
    "FLOAT": "number",
    "DOUBLE": "number",
    "VARCHAR": "string",
    "DATE": "date",
    "BLOB": "binary",
}
_ENGINE_TYPES: Final[dict[ColumnType, str]] = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "string": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "binary": "BLOB",
}


class EngineColumn(NamedTuple):
    """A column as the query engine describes it."""

    name: str
    type: str


def stored_type(engine_type: str) -> ColumnType:
    """The type a column is stored with; what has no counterpart is stored as text."""
    if engine_type.startswith("TIMESTAMP"):
        return "timestamp"
    if engine_type.startswith("DECIMAL"):
        return "number"
    return _TYPES.get(engine_type, "string")


def engine_type(column_type: ColumnType) -> str:
    """The engine's type for a stored one."""
    return _ENGINE_TYPES[column_type]


def empty_select(columns: Sequence[EngineColumn]) -> str:
    """A relation with these columns and no rows, to describe queries over."""
    values = (f"CAST(NULL AS {column.type}) AS {quoted(column.name)}" for column in columns)
    return f"SELECT {', '.join(values)} WHERE false"


def selected_query(spec: Dataset, raw: Mapping[str, str]) -> str:
    """The rows before any cleaning step, with their place in the file.

    ``raw`` holds the select of the source under ``""`` and of each lookup under its name.
    """
    parts = [f'"source" AS ({raw[""]})']
    parts += [f"{quoted(name)} AS ({sql})" for name, sql in raw.items() if name]
    first = '"source"'
    if spec.select is not None:
        body = spec.select.replace("{source}", '"source"').strip().rstrip(";")
        parts.append(f'"selected" AS ({body}\n)')
        first = '"selected"'
    parts.append(f'"step_0" AS (SELECT *, row_number() OVER () AS {POSITION} FROM {first})')
    return f'WITH {", ".join(parts)} SELECT * FROM "step_0"'


def cleaned_query(spec: Dataset, raw: Mapping[str, str], columns: Sequence[str]) -> str:
    """One query from raw relations to cleaned rows; ``columns`` are those of ``selected_query``.

    Each cleaning step sees the result of the one before; the expressions and the filter of one
    step all see the row as it was before the step.
    Errors: ``data.unknown_column`` for a dropped or deduplicated column that is not there.
    """
    sql, known = selected_query(spec, raw).removesuffix(' SELECT * FROM "step_0"'), list(columns)
    for index, step in enumerate(spec.clean):
        sql += f', "step_{index + 1}" AS ({_step(step, f"step_{index}", known)})'
    return f'{sql} SELECT * FROM "step_{len(spec.clean)}"'


def _step(step: Cleaning, before: str, known: list[str]) -> str:
    """One step; the list of known columns is brought up to date."""
    for column in (*step.drop, *step.deduplicate):
        if column not in known and column not in step.set:
            raise unknown_column(column, known)
    kept = [name for name in known if name not in step.set and name not in step.drop]
    words = [quoted(name) for name in kept]
    words += [f"({sql}) AS {quoted(name)}" for name, sql in step.set.items()]
    body = f"SELECT {', '.join(words)} FROM {quoted(before)}"
    if step.where:
        body += f" WHERE ({step.where})"
    if step.deduplicate:
        # The first in file order stays, so the same file always gives the same rows.
        body = (
            f"SELECT * FROM ({body}) QUALIFY row_number() OVER "
            f"(PARTITION BY {names(step.deduplicate)} ORDER BY {POSITION}) = 1"
        )
    known[:] = [*kept, *step.set]
    return body


def stored_columns(columns: Sequence[EngineColumn]) -> tuple[str, Schema]:
    """The casts that bring cleaned columns to their stored types, and the schema they give."""
    words, found = [], []
    for column in columns:
        if column.name == POSITION:
            continue
        if column.name in RESERVED:
            raise Invalid(
                "data.reserved_column",
                f"The column name {column.name!r} is used by Mainspring itself.",
                hint="Give the column another name in a cleaning step.",
                column=column.name,
            )
        kind = stored_type(column.type)
        words.append(
            f"CAST({quoted(column.name)} AS {_ENGINE_TYPES[kind]}) AS {quoted(column.name)}"
        )
        found.append(Column(column.name, kind))
    return ", ".join(words), Schema(tuple(found))


def unknown_column(column: str, known: Sequence[str], where: str = "") -> Invalid:
    """The error for a column that is not there, with the nearest spelling."""
    return Invalid(
        "data.unknown_column",
        f"There is no column {column!r}{where}.",
        hint=did_you_mean(column, [name for name in known if name not in RESERVED]),
        column=column,
        known=[name for name in known if name not in RESERVED][:100],
    )
