"""Conditions on runs as Python expressions, which write themselves in the filter language.

Example:
    >>> str((metric("auc") > 0.7) & (param("depth") == 6))
    "metrics.`auc` > 0.7 AND params.`depth` = '6'"
    >>> str(-metric("auc"))
    'metrics.`auc` DESC'
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from mainspring.tracking.filters import bad_filter

Number = float | int


@dataclass(frozen=True, slots=True)
class Condition:
    """One or more conditions that all hold; ``&`` joins them."""

    text: str

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"{self.text} AND {other.text}")

    def __or__(self, other: object) -> NoReturn:
        raise bad_filter("has no OR", "Search twice, or use one_of() for several texts.")

    def __bool__(self) -> NoReturn:
        raise bad_filter("was asked for its truth", "Join conditions with &, not with 'and'.")

    def __str__(self) -> str:
        return self.text


class Key:
    """A metric, parameter, tag or attribute; comparing it gives a condition.

    Numbers compare as numbers only with metrics and the attributes that are numbers.
    """

    __slots__ = ("_kind", "_name", "_numeric")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, kind: str, name: str, *, numeric: bool) -> None:
        self._kind = kind
        self._name = name
        self._numeric = numeric

    def __str__(self) -> str:
        if "`" in self._name:
            quoted = self._name.replace('"', '""')
            return f'{self._kind}."{quoted}"'
        return f"{self._kind}.`{self._name}`"

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compare("=", value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compare("!=", value)

    def __lt__(self, value: Number) -> Condition:
        return self._compare("<", value)

    def __le__(self, value: Number) -> Condition:
        return self._compare("<=", value)

    def __gt__(self, value: Number) -> Condition:
        return self._compare(">", value)

    def __ge__(self, value: Number) -> Condition:
        return self._compare(">=", value)

    def __neg__(self) -> Order:
        return Order(f"{self} DESC")

    def __pos__(self) -> Order:
        return Order(f"{self} ASC")

    def like(self, pattern: str) -> Condition:
        """Texts of a pattern in which ``%`` is any text and ``_`` a letter."""
        return Condition(f"{self} LIKE {_text(pattern)}")

    def one_of(self, *texts: str) -> Condition:
        """One of some texts; of an attribute such as ``run_id``."""
        return Condition(f"{self} IN ({', '.join(map(_text, texts))})")

    def missing(self) -> Condition:
        """Runs that have no such parameter or tag."""
        return Condition(f"{self} IS NULL")

    def _compare(self, sign: str, value: object) -> Condition:
        if not self._numeric:
            return Condition(f"{self} {sign} {_text(str(value))}")
        if not isinstance(value, float | int) and hasattr(value, "item"):
            value = value.item()  # NumPy's, for one
        if isinstance(value, bool) or not isinstance(value, float | int):
            raise bad_filter(f"compares {self._name[:40]!r} with {value!r:.40}, not with a number")
        plain = float(value) if isinstance(value, float) else int(value)  # np.float64 is a float
        return Condition(f"{self} {sign} {plain!r}")


@dataclass(frozen=True, slots=True)
class Order:
    """A key to sort by, and its direction."""

    text: str

    def __str__(self) -> str:
        return self.text


def metric(name: str) -> Key:
    """The latest value of a metric."""
    return Key("metrics", name, numeric=True)


def param(name: str) -> Key:
    """A parameter; parameters are texts."""
    return Key("params", name, numeric=False)


def tag(name: str) -> Key:
    """A tag."""
    return Key("tags", name, numeric=False)


def attribute(name: str) -> Key:
    """``run_id``, ``run_name``, ``status``, ``user_id``, ``start_time`` or ``end_time``."""
    return Key("attributes", name, numeric=name in {"start_time", "end_time", "created"})


def listed(orders: object) -> list[object]:
    """One order or several, as several."""
    if isinstance(orders, str | Key | Order) or not isinstance(orders, Iterable):
        return [orders]
    return list(orders)


def _text(text: str) -> str:
    quoted = text.replace("'", "''")
    return f"'{quoted}'"
