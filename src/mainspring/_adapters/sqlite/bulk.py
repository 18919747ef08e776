"""Inserts of many rows as few statements.

One statement with many rows takes a third of the time of as many statements: the interpreter is
entered and left once, and its lock given away once, not for every row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from mainspring.ports.database import Values

ROWS: Final = (500, 25)  # of one statement; at most 32,766 values are bound
_MOST_VALUES: Final = 32_766
_INSERT: Final = re.compile(
    r"(?P<head>INSERT INTO [^?]* VALUES )(?P<row>\(\?(?:, ?\?)*\))(?P<tail>[^?]*)", re.DOTALL
)


def statements(sql: str, rows: Sequence[Values]) -> list[tuple[str, list[object], int]]:
    """Statements of many rows with their values, and how many rows each takes from the front.

    What is left over, all of it for statements that are not plain inserts, is the caller's to run
    row by row.
    """
    found: list[tuple[str, list[object], int]] = []
    start = 0
    for size in ROWS:
        wide = _widened(sql, size) if len(rows) - start >= size else None
        while wide and len(rows) - start >= size:
            values = list(chain.from_iterable(rows[start : start + size]))
            found.append((wide, values, size))
            start += size
    return found


@lru_cache(maxsize=256)
def _widened(sql: str, rows: int) -> str | None:
    """The statement with so many rows of marks; None when it is not an insert of one."""
    match = _INSERT.fullmatch(sql)
    if match is None or match["row"].count("?") * rows > _MOST_VALUES:
        return None
    return match["head"] + ",".join([match["row"]] * rows) + match["tail"]
