"""Relations as views of a cursor, every column in the one engine type of its column type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb
import numpy as np

from mainspring._adapters.delta import fence
from mainspring._adapters.delta.frames import into_engine
from mainspring._adapters.delta.types import SQL, cast, column_type, literal, quoted
from mainspring.core.schema import Column, Schema
from mainspring.ports.tables import Frame

Cursor = duckdb.DuckDBPyConnection


def view_of_files(cursor: Cursor, name: str, schema: Schema, files: list[str]) -> None:
    """A view of a table version: its files, its columns."""
    if files:
        listed = ", ".join(literal(file) for file in files)
        source = f"read_parquet([{listed}])"
        columns = ", ".join(_canonical(column) for column in schema.columns)
        body = f"SELECT {columns} FROM {source}"
    else:
        nulls = (f"CAST(NULL AS {SQL[c.type]}) AS {quoted(c.name)}" for c in schema.columns)
        body = f"SELECT {', '.join(nulls)} WHERE false"
    cursor.execute(f"CREATE TEMP VIEW {quoted(name)} AS {body}")


def _canonical(column: Column) -> str:
    # A cast to the type that a column has already costs nothing and hides no statistics.
    return f"CAST({quoted(column.name)} AS {SQL[column.type]}) AS {quoted(column.name)}"


def view_of_frame(cursor: Cursor, name: str, frame: Frame) -> None:
    """A view of numpy columns; the arrays must live as long as the cursor is used."""
    hidden = f"mainspring frame {name}"
    cursor.register(hidden, into_engine(frame))
    view_of_query(cursor, name, f"SELECT * FROM {quoted(hidden)}")


def view_of_query(cursor: Cursor, name: str, sql: str, *, timezone: str = "UTC") -> None:
    """A view of our own SQL, its columns in their canonical types."""
    relation = cursor.sql(sql)
    columns = zip(relation.columns, map(str, relation.types), strict=True)
    casts = ", ".join(
        cast(column, type_, column_type(column, type_), timezone=timezone)
        for column, type_ in columns
    )
    cursor.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT {casts} FROM ({sql})")


def select(
    cursor: Cursor, sql: str, names: frozenset[str], values: Mapping[str, Any] | None
) -> duckdb.DuckDBPyRelation:
    """A checked query, not yet run.

    Errors: ``tables.bad_query``.
    """
    parsed = cursor.execute(fence.PARSE, {"sql": sql}).fetchall()[0][0]
    fence.check(parsed, sql, names)
    bound = {name: plain_value(value) for name, value in (values or {}).items()}
    relation = cursor.sql(sql, params=bound or None)
    if relation is None:
        raise fence.bad_query("it is no query.", sql)
    if len(set(relation.columns)) != len(relation.columns):
        raise fence.bad_query(f"two columns have one name ({', '.join(relation.columns)}).", sql)
    return relation


def schema_of(relation: duckdb.DuckDBPyRelation) -> Schema:
    """The columns a query gives, as tables would store them."""
    pairs = zip(relation.columns, map(str, relation.types), strict=True)
    return Schema(tuple(Column(name, column_type(name, type_)) for name, type_ in pairs))


def plain_value(value: Any) -> Any:
    """A value as the engine binds it: numpy scalars and arrays as Python's, moments in UTC."""
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    elif isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, np.ndarray | tuple | list | frozenset | set):
        value = [plain_value(item) for item in value]
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
