"""Filters and orders on values in memory: the meaning that the SQL of searches must keep."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from functools import cmp_to_key
from typing import Any, Final, TypeVar

from mainspring.tracking.filters import Clause, Order, Value, like_pattern

Item = TypeVar("Item")
Look = Callable[[Item, str, str], Any]  # item, kind of key, key -> value, a list of values or None

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "IN": lambda value, wanted: value in wanted,
    "NOT IN": lambda value, wanted: value not in wanted,
    "LIKE": lambda value, pattern: bool(like_pattern(pattern, ignore_case=False).match(value)),
    "ILIKE": lambda value, pattern: bool(like_pattern(pattern, ignore_case=True).match(value)),
}


def matches(item: Item, clauses: Iterable[Clause], look: Look[Item]) -> bool:
    """Whether all conditions hold. What an item does not have matches nothing but ``IS NULL``."""
    return all(_holds(look(item, clause.kind, clause.key), clause) for clause in clauses)


def _holds(found: Any, clause: Clause) -> bool:
    if clause.op == "IS NULL":
        return found is None
    if clause.op == "IS NOT NULL":
        return found is not None
    if found is None:
        return False
    values = found if isinstance(found, list) else [found]
    return any(_COMPARE[clause.op](_plain(value), clause.value) for value in values)


def _plain(value: Any) -> Any:
    """NaN compares as zero, as MLflow's store has it."""
    return 0.0 if isinstance(value, float) and math.isnan(value) else value


def rank(value: Value) -> tuple[int, Any]:
    """Where a value sorts: values, then NaN, then what is missing, in both directions."""
    if value is None:
        return (2, 0)
    if isinstance(value, float) and math.isnan(value):
        return (1, 0)
    return (0, value)


def compare(left: Sequence[Any], right: Sequence[Any], descending: Sequence[bool]) -> int:
    """Below zero when the left sort key comes first; one direction for each element."""
    for a, b, down in zip(left, right, descending, strict=True):
        if a != b:
            return (-1 if a > b else 1) if down else (-1 if a < b else 1)
    return 0


def sort_key(descending: Sequence[bool]) -> Callable[[Sequence[Any]], Any]:
    """A key for :func:`sorted` over sort keys with a direction for each element."""
    return cmp_to_key(lambda left, right: compare(left, right, descending))


def order_values(item: Item, orders: Iterable[Order], look: Look[Item]) -> list[Any]:
    """The sort key of an item: rank and value for each order."""
    values: list[Any] = []
    for order in orders:
        values.extend(rank(look(item, order.kind, order.key)))
    return values


def directions(orders: Iterable[Order]) -> list[bool]:
    """The directions of :func:`order_values`: ranks always rise."""
    return [down for order in orders for down in (False, order.descending)]
