"""Queries over models and versions as SQL: bound values, keyset pages, no cost of what is skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from mainspring.core.errors import Invalid
from mainspring.registry.query import Clause, Order, Query, check_query, read_token
from mainspring.registry.types import STAGES

Dialect = Literal["sqlite", "postgres"]
_PREFIX: Final = 64  # as many letters of a value as its index holds
_NARROW: Final = frozenset({"tag", "run_id", "source", "name"})
_COMPARATORS: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class Listing:
    """One of the two listings: where its fields are found and how its tags hang on it."""

    fields: dict[str, str]
    numbers: frozenset[str]
    tags: str
    tagged: str
    order: tuple[Order, ...]
    tie: tuple[Order, ...]


MODELS: Final = Listing(
    fields={
        "name": "m.name",
        "created": "m.created_micros",
        "updated": "m.updated_micros",
    },
    numbers=frozenset({"created", "updated"}),
    tags="SELECT t.model_id FROM model_tags t",
    tagged="m.id",
    order=(Order("name"),),
    tie=(Order("name"),),
)
VERSIONS: Final = Listing(
    fields={
        "name": "m.name",
        "number": "v.number",
        "run_id": "v.run_id",
        "source": "v.source",
        "stage": "v.stage",
        "status": "v.status",
        "key": "v.version_key",
        "logged_model_id": "v.logged_model_id",
        "created": "v.created_micros",
        "updated": "v.updated_micros",
    },
    numbers=frozenset({"number", "created", "updated"}),
    tags="SELECT t.model_id, t.number FROM version_tags t",
    tagged="(v.model_id, v.number)",
    order=(Order("updated", descending=True), Order("name"), Order("number", descending=True)),
    tie=(Order("name"), Order("number", descending=True)),
)


def sort_keys(listing: Listing, query: Query) -> tuple[Order, ...]:
    """The order of a query, made total by the fields that name a row."""
    asked = query.order or listing.order
    named = {order.field for order in asked}
    return asked + tuple(order for order in listing.tie if order.field not in named)


def tail(listing: Listing, query: Query, dialect: Dialect) -> tuple[str, list[Any]]:
    """Everything after the WHERE of a listing: conditions, the place in it, order and limit."""
    check_query(query)
    order = sort_keys(listing, query)
    for by in order:
        _column(listing, by.field)
    parts: list[str] = ["1 = 1"]
    values: list[Any] = []
    for clause in query.clauses:
        sql, bound = _condition(listing, clause, dialect)
        parts.append(sql)
        values += bound
    sql, bound = _place(listing, query, order)
    parts.append(sql)
    # SQLite would rather walk the order's index through every row than find few and sort them;
    # a plus before a column keeps its index out of the choice.
    plus = "+" if dialect == "sqlite" and any(map(_is_narrow, query.clauses)) else ""
    by_text = ", ".join(
        f"{plus}{listing.fields[by.field]}{' DESC' if by.descending else ''}" for by in order
    )
    text = f"{' AND '.join(parts)} ORDER BY {by_text} LIMIT ?"
    return text, [*values, *bound, query.limit + 1]


def _is_narrow(clause: Clause) -> bool:
    return clause.comparator in {"=", "in"} and clause.field in _NARROW


def _column(listing: Listing, field: str) -> str:
    column = listing.fields.get(field)
    if column is None:
        raise Invalid(
            "registry.bad_query",
            f"This listing has no {field!r}.",
            hint=f"It has {', '.join(sorted(listing.fields))} and tags.",
            field=field,
        )
    return column


def _condition(listing: Listing, clause: Clause, dialect: Dialect) -> tuple[str, list[Any]]:
    if clause.field == "tag" and clause.comparator in {"present", "missing"}:
        word = "IN" if clause.comparator == "present" else "NOT IN"
        return f"{listing.tagged} {word} ({listing.tags} WHERE t.tag = ?)", [clause.tag]
    if clause.field == "tag":
        sql, values = _compare("t.value", clause, dialect, indexed=True)
        found = f"{listing.tags} WHERE t.tag = ? AND {sql}"
        return f"{listing.tagged} IN ({found})", [clause.tag, *values]
    column = _column(listing, clause.field)
    if clause.field == "stage" and clause.comparator == "newest":
        return _newest(dialect), []
    if clause.field == "name" and clause.comparator in {"=", "in"} and listing is VERSIONS:
        # Few models to many versions: said this way, no planner reads the versions first.
        sql, values = _compare("n.name", clause, dialect, indexed=False)
        return f"v.model_id IN (SELECT n.id FROM models n WHERE {sql})", values
    if clause.field in listing.numbers and not isinstance(clause.value, int):
        raise Invalid(
            "registry.bad_query",
            f"{clause.field!r} is compared with a whole number.",
            hint="Write the number without quotes.",
            field=clause.field,
        )
    return _compare(column, clause, dialect, indexed=clause.field == "source")


def _newest(dialect: Dialect) -> str:
    """The newest version of each stage: one walk of the index for each, whatever lies below it.

    SQLite would walk all versions of the model to find that a stage is empty; it is told not to.
    """
    by = " INDEXED BY model_versions_by_stage" if dialect == "sqlite" else ""
    found = (
        f"(SELECT max(w.number) FROM model_versions w{by} WHERE w.model_id = m.id "
        f"AND w.stage = '{stage}' AND w.deleted_micros IS NULL)"
        for stage in STAGES
    )
    return f"v.number IN ({', '.join(found)})"


def _compare(
    column: str, clause: Clause, dialect: Dialect, *, indexed: bool
) -> tuple[str, list[Any]]:
    value = clause.value
    if clause.comparator in {"in", "not in"}:
        if not isinstance(value, tuple):
            raise _unfit(clause)
        word = clause.comparator.upper()
        marks = ",".join("?" * len(value))
        return (f"{column} {word} ({marks})", list(value)) if value else ("1 = 0", [])
    if clause.comparator in {"like", "ilike"} and isinstance(value, str):
        return _like(column, clause, value, dialect)
    if clause.comparator not in _COMPARATORS or isinstance(value, tuple):
        raise _unfit(clause)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise _unfit(clause)
    if indexed and clause.comparator == "=" and isinstance(value, str):
        head = f"substr({column}, 1, {_PREFIX}) = ?"
        # A bare "column = ?" would let SQLite put the value into substr() and lose the index.
        return f"{head} AND {column} || '' = ?", [value[:_PREFIX], value]
    return f"{column} {clause.comparator} ?", [value]


def _unfit(clause: Clause) -> Invalid:
    return Invalid(
        "registry.bad_query",
        f"{clause.comparator!r} does not fit the value for {clause.field!r}.",
        hint="Use = != like ilike with a text, in with a list, < <= > >= with a number.",
        field=clause.field,
    )


def _like(column: str, clause: Clause, pattern: str, dialect: Dialect) -> tuple[str, list[Any]]:
    """The same meaning on both: LIKE ignores case on SQLite and minds it on PostgreSQL."""
    if dialect == "sqlite":
        if clause.comparator == "like":
            return f"{column} GLOB ?", [_glob(pattern)]
        return f"{column} LIKE ?", [pattern]
    word = "LIKE" if clause.comparator == "like" else "ILIKE"
    return f"{column} {word} ? ESCAPE ''", [pattern]


def _glob(pattern: str) -> str:
    words = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(words.get(letter, letter) for letter in pattern)


def _place(listing: Listing, query: Query, order: Sequence[Order]) -> tuple[str, list[Any]]:
    """The condition for what comes after the last row of the page before (keyset)."""
    kinds = [int if by.field in listing.numbers else str for by in order]
    keys = read_token(query, kinds)
    if keys is None:
        return "1 = 1", []
    alternatives: list[str] = []
    values: list[Any] = []
    for at, by in enumerate(order):
        same = [f"{listing.fields[before.field]} = ?" for before in order[:at]]
        sign = "<" if by.descending else ">"
        alternatives.append(" AND ".join([*same, f"{listing.fields[by.field]} {sign} ?"]))
        values += [*keys[:at], keys[at]]
    first = listing.fields[order[0].field]
    bound = "<=" if order[0].descending else ">="
    # The outer bound repeats what the alternatives say, in a form that an index can walk.
    return f"{first} {bound} ? AND ({' OR '.join(f'({a})' for a in alternatives)})", [
        keys[0],
        *values,
    ]
