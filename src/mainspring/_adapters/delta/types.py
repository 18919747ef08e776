"""One set of column types on the way between DuckDB, Delta and numpy.

Source: DuckDB, Data Types; Delta transaction log protocol, Primitive Types.
"""

from __future__ import annotations

import re
from typing import Final

from mainspring.core.errors import Invalid
from mainspring.core.schema import ColumnType

SQL: Final[dict[ColumnType, str]] = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "string": "VARCHAR",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
    "binary": "BLOB",
}
_WORDS: Final[dict[str, ColumnType]] = {
    "boolean": "boolean",
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint"), "integer"),
    **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"), "integer"),
    **dict.fromkeys(("byte", "short", "long"), "integer"),
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    **dict.fromkeys(("varchar", "enum", "uuid", "json", "string", '"null"', "null"), "string"),
    **dict.fromkeys(("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"), "timestamp"),
    **dict.fromkeys(("timestamp with time zone", "timestamp_ntz"), "timestamp"),
    "date": "date",
    **dict.fromkeys(("blob", "binary"), "binary"),
}


def column_type(column: str, engine_type: str) -> ColumnType:
    """The type that a type of DuckDB or Delta is stored as.

    Errors: ``tables.schema_mismatch`` for one that tables do not hold (lists, structs, intervals).
    """
    word = re.sub(r"\(.*\)", "", engine_type, flags=re.DOTALL).strip().lower()
    found = None if engine_type.endswith("]") else _WORDS.get(word)
    if found is None:
        raise Invalid(
            "tables.schema_mismatch",
            f"Column {column!r} has type {engine_type[:60]}, which tables do not hold.",
            hint="CAST it in the query to a number, text, timestamp, date or boolean.",
            column=column,
            type=engine_type[:60],
        )
    return found


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def cast(column: str, engine_type: str, to: ColumnType, *, timezone: str = "UTC") -> str:
    """SQL for a column in the one engine type of its column type, under its own name.

    NaN becomes null, as it does in a frame. A number is taken for an integer or a boolean only
    when it is one: frames bring such columns as floats when they hold nulls.
    """
    name, target = quoted(column), SQL[to]
    origin = column_type(column, engine_type)
    value = name
    if engine_type.startswith("TIMESTAMP") and "ZONE" not in engine_type and timezone != "UTC":
        value = f"timezone({literal(timezone)}, {name}::TIMESTAMP)"
    elif engine_type == "TIMESTAMP_NS":
        value = f"{name}::TIMESTAMP"
    elif origin == "number":
        value = f"nullif({name}::DOUBLE, 'nan'::DOUBLE)"
    if origin == "number" and to in {"integer", "boolean"}:
        whole = f"{value} IN (0, 1)" if to == "boolean" else f"{value} = trunc({value})"
        complaint = literal(f"column {column} holds a number that is no {to}")
        value = f"CASE WHEN {value} IS NULL OR {whole} THEN {value} ELSE error({complaint}) END"
    return (
        name if value == name and engine_type == target else f"CAST({value} AS {target}) AS {name}"
    )
