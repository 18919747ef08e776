"""Points of one metric of one run as they lie in the tables: packed blocks, and loose rows.

Blocks of a metric never overlap: in the order of a history (time, step, value) each ends before
the next begins. Rows may lie anywhere, and may repeat a point of a block; a reader merges them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from mainspring._adapters.sql.fields import marks
from mainspring.ports.database import Reader, Row, Transaction
from mainspring.tracking.columns import Columns, Ordered, columns_of, pack, unpack

BLOCK: Final = 1024  # points that rows are packed at; a block holds at most twice as many
Series = tuple[int, int]
"""A run's number and a metric's."""
_FIRST: Final = "(first_ms, first_step, first_value, first_nan)"
_POINT: Final = "(time_ms, step, value, nan)"
_MARKS: Final = "(?,?,?,?)"
_OF: Final = "WHERE run = ? AND field = ?"
_UPWARD: Final = "ORDER BY first_ms, first_step, first_value, first_nan"
_DOWNWARD: Final = "ORDER BY first_ms DESC, first_step DESC, first_value DESC, first_nan DESC"
_BLOCK: Final = (
    "SELECT id, points, first_ms, first_step, first_value, first_nan, last_ms, last_step, "
    "last_value, last_nan, data FROM metric_blocks "
)
_ADD: Final = (
    "INSERT INTO metric_blocks (run, field, first_ms, first_step, first_value, first_nan, "
    "last_ms, last_step, last_value, last_nan, points, data) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
)
_ROWS: Final = "SELECT time_ms, step, value, nan FROM metric_rows "
_IN_ROWS: Final = "ORDER BY time_ms, step, value, nan LIMIT ?"


class Block(NamedTuple):
    """A block with its place in the order."""

    id: int
    first: Ordered
    last: Ordered
    data: bytes

    def columns(self) -> Columns:
        """Its points."""
        return unpack(self.data)


def blocks_after(reader: Reader, series: Series, point: Ordered | None, limit: int) -> list[Block]:
    """Blocks in order that begin after a point."""
    where, values = ("", ()) if point is None else (f" AND {_FIRST} > {_MARKS}", point)
    sql = f"{_BLOCK}{_OF}{where} {_UPWARD} LIMIT ?"
    return [_block(row) for row in reader.all(sql, (*series, *values, limit))]


def block_at(reader: Reader, series: Series, point: Ordered) -> Block | None:
    """The last block that begins at a point or before it."""
    row = reader.one(
        f"{_BLOCK}{_OF} AND {_FIRST} <= {_MARKS} {_DOWNWARD} LIMIT 1", (*series, *point)
    )
    return _block(row) if row else None


def newest_sizes(reader: Reader, series: Series, limit: int) -> list[tuple[int, int]]:
    """Numbers and points of the last blocks, in order; their bytes stay where they are."""
    sql = f"SELECT id, points FROM metric_blocks {_OF} {_DOWNWARD} LIMIT ?"
    return [(row[0], row[1]) for row in reversed(reader.all(sql, (*series, limit)))]


def blocks_of(reader: Reader, ids: Sequence[int]) -> list[Block]:
    """Some blocks by their numbers, in order."""
    sql = f"{_BLOCK}WHERE id IN ({marks(ids)}) {_UPWARD}"
    return [_block(row) for row in reader.all(sql, ids)]


def rows_after(reader: Reader, series: Series, point: Ordered | None, limit: int) -> list[Ordered]:
    """Loose rows in order, after a point."""
    where, values = ("", ()) if point is None else (f" AND {_POINT} > {_MARKS}", point)
    found: list[Ordered] = reader.all(f"{_ROWS}{_OF}{where} {_IN_ROWS}", (*series, *values, limit))
    return found


def rows_between(
    reader: Reader, series: Series, first: Ordered, until: Ordered | None, limit: int
) -> list[Ordered]:
    """Loose rows in order, from a point to before another."""
    where, values = ("", ()) if until is None else (f" AND {_POINT} < {_MARKS}", until)
    found: list[Ordered] = reader.all(
        f"{_ROWS}{_OF} AND {_POINT} >= {_MARKS}{where} {_IN_ROWS}",
        (*series, *first, *values, limit),
    )
    return found


def count_rows(reader: Reader, run: int, most: Mapping[int, int]) -> dict[int, int]:
    """How many loose rows some metrics have, each counted up to so many; in one statement."""
    values = [value for field, limit in most.items() for value in (field, run, field, limit)]
    return dict(reader.all(" UNION ALL ".join([_COUNT] * len(most)), values))


def apart(reader: Reader, run: int, spans: Sequence[tuple[int, Ordered, Ordered]]) -> set[int]:
    """Which of some metrics' new points, from first to last, can be blocks; in one statement.

    They come behind every block of theirs, and no loose row is among them.
    """
    parts: list[str] = []
    values: list[float] = []
    for field, first, last in spans:
        parts += [_LAST_BLOCK, _ROW_BETWEEN]
        values += [run, field, run, field, *first, *last]
    firsts = {field: first for field, first, _ in spans}
    found = reader.all(" UNION ALL ".join(parts), values)
    return set(firsts) - {row[0] for row in found if row[1] or row[2:] >= firsts[row[0]]}


_LAST_BLOCK: Final = (
    "SELECT field, 0, last_ms, last_step, last_value, last_nan FROM (SELECT field, last_ms, "
    f"last_step, last_value, last_nan FROM metric_blocks {_OF} {_DOWNWARD} LIMIT 1) AS b"
)
_COUNT: Final = (
    f"SELECT CAST(? AS BIGINT), COUNT(*) FROM (SELECT 1 FROM metric_rows {_OF} LIMIT ?) AS r"
)
_ROW_BETWEEN: Final = (
    "SELECT field, 1, time_ms, step, value, nan FROM (SELECT field, time_ms, step, value, nan "
    f"FROM metric_rows {_OF} AND {_POINT} >= {_MARKS} AND {_POINT} <= {_MARKS} LIMIT 1) AS r"
)


def add_blocks(
    tx: Transaction, run: int, parts: Iterable[tuple[int, Columns]], most: int = 2 * BLOCK
) -> None:
    """Stores columns of metrics, each in blocks of at most so many points."""
    split = ((field, some) for field, columns in parts for some in _split(columns, most))
    tx.many(_ADD, [_values(run, field, some) for field, some in split])


def remove_blocks(tx: Transaction, ids: Sequence[int]) -> None:
    tx.run(f"DELETE FROM metric_blocks WHERE id IN ({marks(ids)})", ids)


def remove_rows(tx: Transaction, series: Series, first: Ordered, last: Ordered) -> None:
    """Removes the loose rows from one point to another, both included."""
    tx.run(
        f"DELETE FROM metric_rows {_OF} AND {_POINT} >= {_MARKS} AND {_POINT} <= {_MARKS}",
        (*series, *first, *last),
    )


def pack_long(tx: Transaction) -> None:
    """Packs every series of many rows: once, when a workspace of loose rows alone is migrated."""
    long = f"SELECT run, field FROM metric_rows GROUP BY run, field HAVING COUNT(*) >= {2 * BLOCK}"
    for run, field in tx.all(long):
        last: Ordered | None = None
        while rows := rows_after(tx, (run, field), last, 8 * BLOCK):
            add_blocks(tx, run, [(field, columns_of(rows))])
            last = rows[-1]
        tx.run(f"DELETE FROM metric_rows {_OF}", (run, field))


def _split(columns: Columns, most: int) -> Iterator[Columns]:
    """Equal parts of at most so many points."""
    count = len(columns.steps)
    parts = -(-count // most)
    for part in range(parts):
        start, end = count * part // parts, count * (part + 1) // parts
        yield Columns(
            columns.steps[start:end], columns.times_ms[start:end], columns.values[start:end]
        )


def _values(run: int, field: int, columns: Columns) -> Row:
    count = len(columns.steps)
    ends = (*columns.ordered(0), *columns.ordered(count - 1))
    return (run, field, *ends, count, pack(columns))


def _block(row: Row) -> Block:
    return Block(row[0], row[2:6], row[6:10], row[10])
