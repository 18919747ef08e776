"""The words of the filter language: its limits, its operators, a condition, a key to sort by."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from mainspring.core.errors import Invalid

Kind = Literal[
    "metric",
    "param",
    "tag",
    "attribute",
    "dataset",
    "metadata",
    "span",
    "feedback",
    "expectation",
]
Op = Literal[
    "=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"
]
Value = str | float | int | tuple[str, ...] | None

MAX_TEXT: Final = 16_384
MAX_CLAUSES: Final = 64
MAX_LIST: Final = 1_000
MAX_TOKENS: Final = 4_000
MAX_WILDCARDS: Final = 8
MAX_ORDERS: Final = 8
NUMERIC: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})
TEXTUAL: Final = frozenset({"=", "!=", "LIKE", "ILIKE"})
LISTS: Final = frozenset({"IN", "NOT IN"})
NULLS: Final = frozenset({"IS NULL", "IS NOT NULL"})


class Clause(msgspec.Struct, frozen=True):
    """One condition on one key."""

    kind: Kind
    key: str
    op: Op
    value: Value = None


class Order(msgspec.Struct, frozen=True):
    """One key to sort by."""

    kind: Kind
    key: str
    descending: bool = False


def bad_filter(fault: str, hint: str = "") -> Invalid:
    """The error for a filter or an order that can not be understood."""
    return Invalid("tracking.bad_filter", f"The filter {fault}.", hint=hint)


def storable(text: str) -> str:
    """The text, when every store can hold it. Errors: ``tracking.bad_filter``."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise bad_filter("holds a character that cannot be stored")
    return text


def like_pattern(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    """``%`` for any text and ``_`` for one character, as a regular expression."""
    parts = (".*" if c == "%" else "." if c == "_" else re.escape(c) for c in pattern)
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if ignore_case else 0)
    return re.compile("".join(parts) + r"\Z", flags)
