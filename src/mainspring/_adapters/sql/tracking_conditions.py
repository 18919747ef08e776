"""Conditions of a filter as SQL on a run ``r``, and as sources of the runs that meet them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from mainspring._adapters.sql.fields import marks
from mainspring.tracking.filters import Clause, Order

PREFIX: Final = 64  # the indexed beginning of a parameter or tag
# Written so that no index is used for them: the plan has chosen its index already.
_ATTRIBUTES: Final = {
    "run_id": "(r.uuid || '')",
    "run_name": "(r.name || '')",
    "user_id": "(r.user_id || '')",
    "status": "(r.status || '')",
    "artifact_uri": "(r.artifact_uri || '')",
    "start_time": "(r.start_ms + 0)",
    "end_time": "r.end_ms",
}
_DATASET: Final = {"name": "d.name", "digest": "d.digest", "context": "l.context"}
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


def condition(clause: Clause, numbers: Mapping[str, int], dialect: str) -> Fragment:
    """The condition on a run ``r``."""
    if clause.kind == "attribute":
        return compare(_ATTRIBUTES[clause.key], clause, dialect)
    if clause.kind == "dataset":
        inner = compare(_DATASET[clause.key], clause, dialect)
        return Fragment(
            "EXISTS (SELECT 1 FROM run_datasets l JOIN datasets d ON d.id = l.dataset "
            f"WHERE l.run = r.id AND {inner.sql})",
            inner.values,
        )
    table = "latest" if clause.kind == "metric" else "run_terms"
    number = numbers[field_name(clause)]
    base = f"EXISTS (SELECT 1 FROM {table} c WHERE c.run = r.id AND c.field = ?"
    if clause.op in {"IS NULL", "IS NOT NULL"}:
        return Fragment(f"{'NOT ' if clause.op == 'IS NULL' else ''}{base})", (number,))
    inner = compare("c.value", clause, dialect)
    return Fragment(f"{base} AND {inner.sql})", (number, *inner.values))


def rare_source(
    clause: Clause, shelves: Sequence[int], numbers: Mapping[str, int]
) -> Fragment | None:
    """A query for the column ``run`` of runs that may meet a condition, by one index range.

    None for conditions that no index narrows. The condition itself is still to be checked.
    """
    if clause.kind == "metric" and clause.op != "!=":
        return Fragment(
            f"SELECT run FROM latest WHERE shelf IN ({marks(shelves)}) AND field = ? "
            f"AND nan IN (0, 1) AND value {clause.op} ?",
            (*shelves, numbers[field_name(clause)], clause.value),
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
        return _attribute_source(clause, shelves)
    if clause.kind == "dataset" and clause.op in {"=", "IN"} and clause.key != "context":
        values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
        return Fragment(
            "SELECT run FROM datasets d CROSS JOIN run_datasets l WHERE l.dataset = d.id "
            f"AND d.{clause.key} IN ({marks(values)})",
            values,
        )
    return None


def _attribute_source(clause: Clause, shelves: Sequence[int]) -> Fragment | None:
    if clause.key == "run_id" and clause.op in {"=", "IN"}:
        values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
        return Fragment(f"SELECT id AS run FROM runs WHERE uuid IN ({marks(values)})", values)
    columns = {"status": "status", "run_name": "name", "start_time": "start_ms"}
    column = columns.get(clause.key)
    if column is None or clause.op in {"!=", "LIKE", "ILIKE"}:
        return None
    return Fragment(
        f"SELECT id AS run FROM runs WHERE shelf IN ({marks(shelves)}) AND {column} {clause.op} ?",
        (*shelves, clause.value),
    )


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
