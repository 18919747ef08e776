"""Registered models and versions as the MLflow wire shows them, and its searches as ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from mainspring._entrypoints.mlflow.writing import key_values, without_empty
from mainspring.core.errors import Invalid
from mainspring.core.time import to_micros
from mainspring.registry import Clause, Order, Query, Version
from mainspring.registry.types import Model
from mainspring.tracking.filters import Clause as Condition
from mainspring.tracking.filters import Grammar, parse, parse_order

PROMPT_TAG: Final = "mlflow.prompt.is_prompt"
PLACEHOLDERS: Final = ("prompt-template", "dummy-source")  # what clients send as a prompt's source
_PLACEHOLDER: Final = "objects:/"

MODELS: Final = Grammar(
    text=frozenset({"name"}),
    numbers=frozenset({"timestamp", "last_updated_timestamp"}),
    lists=frozenset({"name"}),
    aliases={"creation_timestamp": "timestamp"},
)
VERSIONS: Final = Grammar(
    text=frozenset({"name", "run_id", "source_path"}),
    numbers=frozenset({"version_number", "creation_timestamp", "last_updated_timestamp"}),
    lists=frozenset({"name", "run_id"}),
    aliases={"source": "source_path", "version": "version_number"},
)
_FIELDS: Final[dict[str, Any]] = {
    "name": "name",
    "run_id": "run_id",
    "source_path": "source",
    "version_number": "number",
}
_ORDERS: Final[dict[str, Any]] = {
    "name": "name",
    "version_number": "number",
    "timestamp": "updated",
    "creation_timestamp": "created",
    "last_updated_timestamp": "updated",
}


def milliseconds(moment: datetime) -> int:
    return to_micros(moment) // 1000


def stored_source(source: str) -> str:
    """A source as the registry keeps it: the placeholders of prompts become addresses."""
    return f"{_PLACEHOLDER}{source}" if source in PLACEHOLDERS else source


def shown_source(source: str) -> str:
    name = source.removeprefix(_PLACEHOLDER)
    return name if name in PLACEHOLDERS else source


def version_json(version: Version) -> dict[str, Any]:
    return without_empty(
        {
            "name": version.name,
            "version": str(version.number),
            "creation_timestamp": milliseconds(version.created),
            "last_updated_timestamp": milliseconds(version.updated),
            "current_stage": version.stage,
            "description": version.description,
            "source": shown_source(version.source),
            "run_id": version.run_id,
            "run_link": version.run_link,
            "status": version.readiness,
            "status_message": version.readiness_message,
            "user_id": version.created_by,
            "model_id": version.logged_model_id,
            "tags": key_values(version.tags),
            "aliases": list(version.aliases),
        }
    )


def model_json(model: Model, latest: Sequence[Version]) -> dict[str, Any]:
    aliases = [
        {"alias": alias, "version": str(number)} for alias, number in sorted(model.aliases.items())
    ]
    return without_empty(
        {
            "name": model.name,
            "creation_timestamp": milliseconds(model.created),
            "last_updated_timestamp": milliseconds(model.updated),
            "description": model.description,
            "latest_versions": [version_json(version) for version in latest],
            "tags": key_values(model.tags),
            "aliases": aliases,
        }
    )


def registry_query(
    grammar: Grammar,
    text: str | None,
    order_by: Sequence[str] | None,
    *,
    limit: int,
    token: str | None,
) -> Query:
    """A search of the wire as one of the registry. Errors: ``tracking.bad_filter``."""
    clauses = tuple(map(_clause, parse(text or "", grammar)))
    orders = tuple(_order(one, grammar) for one in order_by or ())
    return Query(clauses=clauses, order=orders, limit=limit, token=token or None)


def asks_for_prompts(query: Query) -> bool:
    """Whether a search wants prompts, which are registered models with a tag."""
    for clause in query.clauses:
        if clause.tag == PROMPT_TAG:
            value = str(clause.value).lower()
            return (clause.comparator, value) in {("=", "true"), ("!=", "false")}
    return False


def without_prompt_clauses(query: Query) -> Query:
    """The search without conditions on the prompt tag: what is no prompt has no such tag."""
    clauses = tuple(clause for clause in query.clauses if clause.tag != PROMPT_TAG)
    return Query(clauses=clauses, order=query.order, limit=query.limit, token=query.token)


def is_prompt(tags: dict[str, str]) -> bool:
    return tags.get(PROMPT_TAG, "").lower() == "true"


def _clause(condition: Condition) -> Clause:
    if condition.op in {"IS NULL", "IS NOT NULL"} or condition.value is None:
        raise _cannot(condition)
    comparator: Any = condition.op.lower()
    if condition.kind == "tag":
        return Clause("tag", comparator, str(condition.value), tag=condition.key)
    field = _FIELDS.get(condition.key)
    if field is None:
        raise _cannot(condition)
    value = condition.value
    if isinstance(value, float):
        if not value.is_integer():
            raise _cannot(condition)
        value = int(value)
    return Clause(field, comparator, value)


def _order(text: str, grammar: Grammar) -> Order:
    found = parse_order(text, grammar)
    if found.kind != "attribute" or found.key not in _ORDERS:
        raise Invalid("tracking.bad_filter", f"{text[:80]!r} is not an order of this search.")
    return Order(_ORDERS[found.key], found.descending)


def _cannot(condition: Condition) -> Invalid:
    return Invalid(
        "tracking.bad_filter",
        f"The filter asks {condition.op} of {condition.key[:40]!r}, which this search cannot tell.",
    )


Describe = Callable[[Model], dict[str, Any]]
