"""What a filter asks: its keys looked up in a grammar, its operators and values fitting to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mainspring.core.names import did_you_mean
from mainspring.tracking.filters.grammars import Grammar
from mainspring.tracking.filters.syntax import Cursor, Name, unquote
from mainspring.tracking.filters.words import (
    LISTS,
    MAX_CLAUSES,
    MAX_ORDERS,
    MAX_TEXT,
    MAX_WILDCARDS,
    NULLS,
    NUMERIC,
    TEXTUAL,
    Clause,
    Kind,
    Op,
    Order,
    Value,
    bad_filter,
    storable,
)

_DATASET_KEYS: Final = frozenset({"name", "digest", "context"})
_SPAN_KEYS: Final = frozenset({"name", "type", "status", "content"})
_SPAN_ATTRIBUTE: Final = "attributes."
_JUDGED: Final = frozenset({"feedback", "expectation"})
_UNSORTED: Final = frozenset({"dataset", "span", "feedback", "expectation"})


def parse(text: str, grammar: Grammar) -> tuple[Clause, ...]:
    """The conditions of a filter; none for an empty one.

    Errors: ``tracking.bad_filter``, in time linear in the text, for all that the grammar lacks.
    """
    return tuple(_clauses(Cursor(text), grammar))


def parse_order(text: str, grammar: Grammar) -> Order:
    """A key to sort by, with ``ASC`` or ``DESC`` after it. Errors: ``tracking.bad_filter``."""
    if len(text) > MAX_TEXT:
        raise bad_filter("has too long an order")
    cursor = Cursor(text)
    kind, key = _meant(cursor.name(), grammar)
    descending = False
    if not cursor.done():
        word = cursor.take().text.upper()
        if word not in {"ASC", "DESC"} or not cursor.done():
            raise bad_filter(f"cannot be sorted by {text[:80]!r}", "Use 'key ASC' or 'key DESC'.")
        descending = word == "DESC"
    if kind in _UNSORTED:
        raise bad_filter(f"cannot be sorted by a {kind}")
    return Order(kind, key, descending)


def parse_orders(texts: Sequence[str], grammar: Grammar) -> tuple[Order, ...]:
    """The keys to sort by, the first counting most. Errors: ``tracking.bad_filter``."""
    if len(texts) > MAX_ORDERS:
        raise bad_filter(f"sorts by {len(texts)} keys, the limit is {MAX_ORDERS}")
    return tuple(parse_order(text, grammar) for text in texts)


def _clauses(cursor: Cursor, grammar: Grammar) -> Iterator[Clause]:
    count = 0
    while not cursor.done():
        count += 1
        if count > MAX_CLAUSES:
            raise bad_filter(f"has more than {MAX_CLAUSES} conditions")
        yield _clause(cursor, grammar)
        if cursor.done():
            return
        if cursor.word("AND"):
            if cursor.done():
                raise bad_filter("ends with AND")
            continue
        token = cursor.take()
        hint = "Join conditions with AND; OR and parentheses are not part of this language."
        raise bad_filter(f"has {token.text[:40]!r} where AND was expected", hint)


def _meant(name: Name, grammar: Grammar) -> tuple[Kind, str]:
    """The kind and the key that a name has in a grammar."""
    if not name.entity:
        return _attribute(name.key, grammar)
    kind = grammar.entities.get(name.entity)
    if kind is None or kind not in grammar.kinds:
        known = [word for word, kind in grammar.entities.items() if kind in grammar.kinds]
        raise bad_filter(
            f"has an unknown kind of key, {name.entity[:40]!r}", did_you_mean(name.entity, known)
        )
    key = name.key
    if not key:
        raise bad_filter(f"has no key after {name.entity!r}")
    if kind == "attribute":
        return _attribute(key, grammar)
    if kind == "dataset" and key not in _DATASET_KEYS:
        raise bad_filter(f"has an unknown dataset key {key[:40]!r}")
    if kind == "span" and key not in _SPAN_KEYS and not key.startswith(_SPAN_ATTRIBUTE):
        raise bad_filter(
            f"has an unknown span key {key[:40]!r}",
            "Spans have name, type, status, content and attributes.NAME.",
        )
    return kind, key


def _attribute(key: str, grammar: Grammar) -> tuple[Kind, str]:
    key = grammar.aliases.get(key, key)
    if key not in grammar.attributes:
        raise bad_filter(
            f"has an unknown attribute {key[:40]!r}",
            did_you_mean(key[:40], grammar.attributes),
        )
    return "attribute", key


def _clause(cursor: Cursor, grammar: Grammar) -> Clause:
    kind, key = _meant(cursor.name(), grammar)
    op = cursor.operator()
    if op in NULLS:
        if kind in {"metric", "attribute", "dataset", "span"}:
            raise bad_filter(f"asks {op} of a {kind}", "Only tags and params may be asked.")
        return Clause(kind, key, op)
    return Clause(kind, key, op, _value(cursor, grammar, kind, key, op))


def _value(cursor: Cursor, grammar: Grammar, kind: Kind, key: str, op: Op) -> Value:
    """What stands behind the operator, in the type that the key has."""
    is_attribute = kind == "attribute"
    searched = (is_attribute and key in grammar.patterns) or (kind, key) == ("span", "content")
    if searched and op not in {"LIKE", "ILIKE"}:
        raise bad_filter(f"uses {op} on the text {key!r}", "It takes LIKE and ILIKE.")
    if op in LISTS:
        if kind not in {"dataset", "span"} and not (is_attribute and key in grammar.lists):
            raise bad_filter(f"compares {key[:40]!r} with a list")
        return cursor.texts()
    if kind == "metric" or (is_attribute and key in grammar.numbers):
        return _number(cursor, kind, key, op)
    if kind in _JUDGED and op in NUMERIC - TEXTUAL:
        return _number(cursor, kind, key, op)
    return _string(cursor, key, op)


def _number(cursor: Cursor, kind: Kind, key: str, op: Op) -> float | int:
    token = cursor.take()
    if op not in NUMERIC:
        raise bad_filter(f"uses {op} on the number {key[:40]!r}")
    if token.kind != "number":
        raise bad_filter(f"compares {key[:40]!r} with {token.text[:40]!r}, not with a number")
    number = float(token.text)
    if number in {float("inf"), float("-inf")}:
        raise bad_filter("has a number out of range")
    if kind == "attribute" and token.text.lstrip("+-").isdigit():
        whole = int(token.text)
        return whole if abs(whole) < 2**63 else number
    return number


def _string(cursor: Cursor, key: str, op: Op) -> str:
    token = cursor.take()
    if op not in TEXTUAL:
        raise bad_filter(f"uses {op} on the text {key[:40]!r}")
    if token.kind not in {"string", "quoted"} or token.text[0] == "`":
        raise bad_filter(
            f"compares {key[:40]!r} with {token.text[:40]!r}, not with quoted text",
            "Put the text in single quotes.",
        )
    text = storable(unquote(token.text))
    if op in {"LIKE", "ILIKE"} and text.count("%") > MAX_WILDCARDS:
        raise bad_filter(f"has a pattern with more than {MAX_WILDCARDS} '%'")
    return text
