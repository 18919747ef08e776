"""Pieces of SQL text: names and literals, quoted so that no value becomes code."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from mainspring.core.time import to_micros


def quoted(name: str) -> str:
    """A column or relation name as SQL, whatever characters it holds.

    Example:
        >>> print(quoted('a "b" c'))
        "a ""b"" c"
    """
    return '"' + name.replace('"', '""') + '"'


def names(columns: Iterable[str]) -> str:
    """Names as a SQL list."""
    return ", ".join(quoted(column) for column in columns)


def literal(value: str | float | datetime | None) -> str:
    """A plain value as a SQL literal; a moment becomes an exact UTC instant.

    Example:
        >>> literal("it's")
        "'it''s'"
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"make_timestamptz({to_micros(value)})"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"CAST('{value}' AS DOUBLE)"
    return "'" + value.replace("'", "''") + "'"
