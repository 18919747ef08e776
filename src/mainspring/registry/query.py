"""What a listing of models or versions is asked for, and the token that continues it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from mainspring.core.digest import digest_of
from mainspring.core.errors import Invalid

Field = Literal[
    "name", "tag", "run_id", "source", "number", "stage", "status", "key", "logged_model_id"
]
Comparator = Literal[
    "=", "!=", "like", "ilike", "in", "not in", "<", "<=", ">", ">=",
    "present", "missing", "newest",
]  # fmt: skip
OrderField = Literal["name", "created", "updated", "number"]

MAX_CLAUSES: Final = 64
MAX_PAGE: Final = 200_000
MAX_LIST: Final = 1_000
MAX_PATTERN: Final = 256
MAX_WILDCARDS: Final = 8  # matching is tried again at each, so their number is bounded


class Clause(msgspec.Struct, frozen=True):
    """One condition; a query's clauses all hold. ``tag`` names the key when the field is a tag.

    ``!=`` on a tag finds only what has the tag; ``present`` and ``missing`` ask whether it does.
    ``newest`` on ``stage`` keeps each model's newest version in each stage. Patterns of ``like``
    (case counts) and ``ilike`` (it does not) know ``%`` and ``_``.
    """

    field: Field
    comparator: Comparator
    value: str | int | tuple[str, ...] = ""
    tag: str = ""


class Order(msgspec.Struct, frozen=True):
    """A field to sort by."""

    field: OrderField
    descending: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions, order and page of a listing; ``deleted`` lists what was taken out of sight."""

    clauses: tuple[Clause, ...] = ()
    order: tuple[Order, ...] = ()
    limit: Annotated[int, msgspec.Meta(ge=1)] = 100
    token: str | None = None
    deleted: bool = False


def check_query(query: Query) -> Query:
    """The query itself, within the limits.

    Errors: ``registry.bad_query``.
    """
    fault = ""
    if len(query.clauses) > MAX_CLAUSES:
        fault = f"has {len(query.clauses)} conditions, the limit is {MAX_CLAUSES}"
    elif not 1 <= query.limit <= MAX_PAGE:
        fault = f"asks for {query.limit} rows, between 1 and {MAX_PAGE} can be had"
    elif len({order.field for order in query.order}) < len(query.order):
        fault = "sorts twice by the same field"
    else:
        fault = next(filter(None, map(_clause_fault, query.clauses)), "")
    if fault:
        raise Invalid("registry.bad_query", f"The query {fault}.", hint="Ask for less at a time.")
    return query


def _clause_fault(clause: Clause) -> str:
    value = clause.value
    texts = (clause.tag, *(value if isinstance(value, tuple) else (str(value),)))
    if clause.field == "tag" and not clause.tag:
        return "has a condition on a tag without its key"
    if len(texts) > MAX_LIST:
        return f"has a list of {len(texts) - 1} values, the limit is {MAX_LIST - 1}"
    if any("\x00" in text or not _encodable(text) for text in texts):
        return "holds a character that cannot be stored"
    if clause.comparator not in {"like", "ilike"}:
        return ""
    pattern = str(value)
    if len(pattern) > MAX_PATTERN or pattern.count("%") > MAX_WILDCARDS:
        return f"has a pattern of more than {MAX_PATTERN} letters or {MAX_WILDCARDS} '%'"
    return ""


def _encodable(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def write_token(query: Query, keys: Sequence[str | int]) -> str:
    """The opaque token of the page after the row with these sort keys."""
    return base64.urlsafe_b64encode(msgspec.json.encode([_mark(query), list(keys)])).decode()


def read_token(query: Query, kinds: Sequence[type]) -> tuple[str | int, ...] | None:
    """The sort keys that a query goes on after; None at the beginning.

    Errors: ``registry.bad_token`` for a token that is damaged, or of another query.
    """
    if not query.token:
        return None
    try:
        found: Any = msgspec.json.decode(base64.urlsafe_b64decode(query.token))
        mark, keys = found
    except (msgspec.DecodeError, binascii.Error, ValueError, TypeError):
        mark, keys = None, []
    fits = isinstance(keys, list) and [type(key) for key in keys] == list(kinds)
    whole = fits and all(abs(key) < 2**63 for key in keys if isinstance(key, int))
    if mark != _mark(query) or not whole:
        raise Invalid(
            "registry.bad_token",
            "The page token does not belong to this query.",
            hint="Start again without a token.",
        )
    return tuple(keys)


def _mark(query: Query) -> str:
    return digest_of([query.clauses, query.order, query.deleted])[7:23]
