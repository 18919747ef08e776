"""Conditions of a filter as SQL on a run ``r``, and as sources of the runs that meet them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from mainspring._adapters.sql.fields import marks
from mainspring.tracking.filters import Clause, Order

PREFIX: Final = 64  # the indexed beginning of a parameter or tag
# Written so that no index is used for them: the plan has chosen its index already.
UNINDEXED: Final = {
    "run_id": "(r.uuid || '')",
    "run_name": "(r.name || '')",
    "user_id": "(r.user_id || '')",
    "status": "(r.status || '')",
    "artifact_uri": "(r.artifact_uri || '')",
    "start_time": "(r.start_ms + 0)",
    "end_time": "r.end_ms",
}
_DATASET: Final = {"name": "d.name", "digest": "d.digest", "context": "l.context"}
_RANGES: Final = frozenset({"=", "<", "<=", ">", ">="})
_LETTERS: Final = {"metric": "m", "param": "p", "tag": "t"}


class Fragment(msgspec.Struct, frozen=True):
    """A piece of SQL with the values it binds."""

    sql: str
    values: tuple[Any, ...]

    @classmethod
    def all(cls, conditions: Iterable[Fragment]) -> Fragment:
        """All conditions, each after AND."""
        parts = list(conditions)
        return cls(
            "".join(f" AND {part.sql}" for part in parts),
            tuple(value for part in parts for value in part.values),
        )


def field_name(key: Clause | Order) -> str:
    """The stored name of a metric, parameter or tag; empty for attributes and datasets."""
    letter = _LETTERS.get(key.kind)
    return f"{letter}:{key.key}" if letter else ""


class Condition(msgspec.Struct, frozen=True):
    """What a run must meet: as SQL on the number ``{run}``, and as a source of such runs.

    ``needs_row`` says that the SQL asks the row ``r`` of the run itself.
    """

    sql: str
    values: tuple[Any, ...]
    source: Fragment | None = None
    needs_row: bool = False

    def on(self, run: str) -> Fragment:
        """The condition on the run of this number."""
        return Fragment(self.sql.replace("{run}", run), self.values)


def conditions_on(run: str, conditions: Iterable[Condition]) -> Fragment:
    """All conditions, each after AND; those that need no row of the run come first."""
    ordered = sorted(conditions, key=lambda one: one.needs_row)
    return Fragment.all(one.on(run) for one in ordered)


def conditions(
    clauses: Sequence[Clause], shelves: Sequence[int], numbers: Mapping[str, int], dialect: str
) -> tuple[Condition, ...]:
    """The conditions of a filter on runs of some shelves."""
    return tuple(
        msgspec.structs.replace(
            _condition(clause, numbers, dialect),
            source=rare_source(clause, _ranges(clause, clauses), shelves, numbers),
        )
        for clause in clauses
    )


def _ranges(clause: Clause, clauses: Sequence[Clause]) -> list[Clause]:
    """The clauses that bound the same number, so that two of them are one range of its index."""
    same = (clause.kind, clause.key)
    return [one for one in clauses if (one.kind, one.key) == same and one.op in _RANGES]


def _condition(clause: Clause, numbers: Mapping[str, int], dialect: str) -> Condition:
    if clause.kind == "attribute":
        inner = compare(UNINDEXED[clause.key], clause, dialect)
        return Condition(inner.sql, inner.values, needs_row=True)
    if clause.kind == "dataset":
        inner = compare(_DATASET[clause.key], clause, dialect)
        return Condition(
            "EXISTS (SELECT 1 FROM run_datasets l JOIN datasets d ON d.id = l.dataset "
            f"WHERE l.run = {{run}} AND {inner.sql})",
            inner.values,
        )
    table = "latest" if clause.kind == "metric" else "run_terms"
    number = numbers[field_name(clause)]
    base = f"EXISTS (SELECT 1 FROM {table} c WHERE c.run = {{run}} AND c.field = ?"
    if clause.op in {"IS NULL", "IS NOT NULL"}:
        return Condition(f"{'NOT ' if clause.op == 'IS NULL' else ''}{base})", (number,))
    inner = compare("c.value", clause, dialect)
    return Condition(f"{base} AND {inner.sql})", (number, *inner.values))


def rare_source(
    clause: Clause,
    ranges: Sequence[Clause],
    shelves: Sequence[int],
    numbers: Mapping[str, int],
) -> Fragment | None:
    """A query for the column ``run`` of runs that may meet a condition, by one index range.

    None for conditions that no index narrows. The condition itself is still to be checked.
    """
    if clause.kind == "metric" and clause.op != "!=":
        bounds = _bounds("value", ranges)
        return Fragment(
            f"SELECT run FROM latest WHERE shelf IN ({marks(shelves)}) AND field = ? "
            f"AND nan IN (0, 1){bounds.sql}",
            (*shelves, numbers[field_name(clause)], *bounds.values),
        )
    if clause.kind in {"param", "tag"} and clause.op == "=":
        beginning = str(clause.value)[:PREFIX]
        return Fragment(
            f"SELECT run FROM run_terms WHERE shelf IN ({marks(shelves)}) AND field = ? "
            f"AND substr(value, 1, {PREFIX}) = ?",
            (*shelves, numbers[field_name(clause)], beginning),
        )
    if clause.kind in {"param", "tag"} and clause.op in {"IS NOT NULL", "LIKE", "ILIKE"}:
        return Fragment(
            f"SELECT run FROM run_terms WHERE shelf IN ({marks(shelves)}) AND field = ?",
            (*shelves, numbers[field_name(clause)]),
        )
    if clause.kind == "attribute":
        return _attribute_source(clause, ranges, shelves)
    if clause.kind == "dataset" and clause.op in {"=", "IN"} and clause.key != "context":
        values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
        return Fragment(
            "SELECT run FROM datasets d CROSS JOIN run_datasets l WHERE l.dataset = d.id "
            f"AND d.{clause.key} IN ({marks(values)})",
            values,
        )
    return None


def _attribute_source(
    clause: Clause, ranges: Sequence[Clause], shelves: Sequence[int]
) -> Fragment | None:
    if clause.key == "run_id" and clause.op in {"=", "IN"}:
        values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
        return Fragment(f"SELECT id AS run FROM runs WHERE uuid IN ({marks(values)})", values)
    columns = {"status": "status", "run_name": "name", "start_time": "start_ms"}
    column = columns.get(clause.key)
    if column is None or clause.op in {"!=", "LIKE", "ILIKE"}:
        return None
    bounds = _bounds(column, ranges)
    return Fragment(
        f"SELECT id AS run FROM runs WHERE shelf IN ({marks(shelves)}){bounds.sql}",
        (*shelves, *bounds.values),
    )


def _bounds(column: str, ranges: Sequence[Clause]) -> Fragment:
    return Fragment.all(Fragment(f"{column} {one.op} ?", (one.value,)) for one in ranges)


def compare(column: str, clause: Clause, dialect: str) -> Fragment:
    """The comparison of a column with a condition's value."""
    value = clause.value
    if isinstance(value, tuple):
        return Fragment(f"{column} {clause.op} ({marks(value)})", value)
    if clause.op == "ILIKE":
        return Fragment(
            f"lower({column}) LIKE lower(?) ESCAPE ''"
            if dialect == "postgres"
            else f"lower({column}) LIKE lower(?)",
            (value,),
        )
    if clause.op == "LIKE":
        if dialect == "postgres":
            return Fragment(f"{column} LIKE ? ESCAPE ''", (value,))
        return Fragment(f"{column} GLOB ?", (_glob(str(value)),))
    return Fragment(f"{column} {clause.op} ?", (value,))


def _glob(pattern: str) -> str:
    """A LIKE pattern as GLOB, which in SQLite is the one that minds case."""
    special = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(special.get(letter, letter) for letter in pattern)
