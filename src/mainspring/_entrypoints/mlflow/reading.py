"""Requests of MLflow clients as typed values: JSON bodies and query strings alike.

Numbers may come as strings, unknown fields are ignored, null means absent: the JSON form of
protocol buffers. A body that does not fit is refused as a whole, never used in part.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from mainspring._entrypoints._http import Request, decode_json
from mainspring.core.errors import Invalid
from mainspring.tracking.types import View

T = TypeVar("T", bound=msgspec.Struct)
_SPECIAL: Final = {
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_VIEWS: Final[dict[str, View]] = {
    "ACTIVE_ONLY": "active",
    "DELETED_ONLY": "deleted",
    "ALL": "all",
    "1": "active",
    "2": "deleted",
    "3": "all",
}


class Pair(msgspec.Struct):
    """A key and a value."""

    key: str
    value: str | None = None


def missing(name: str) -> Invalid:
    """The error for a field that must be there."""
    return Invalid("http.missing_field", f"Missing value for required parameter '{name}'.")


def need(value: str | None, name: str) -> str:
    """The value, which must be there and not be empty."""
    if not value:
        raise missing(name)
    return value


def experiment_number(value: str | int | None) -> str:
    """The identifier of an experiment, which is a number on this wire."""
    text = need(None if value is None else str(value), "experiment_id")
    if not (text.isascii() and text.isdigit()):
        raise Invalid(
            "http.bad_experiment_id",
            f"Invalid experiment ID '{text[:40]}'. Experiment ID must be a valid integer.",
            hint="Look for it by name.",
        )
    return text


def once(found: Sequence[Pair] | None) -> dict[str, str]:
    """Keys and values, each key with one value."""
    values: dict[str, str] = {}
    for key, value in pairs(found):
        if values.setdefault(key, value) != value:
            raise Invalid(
                "http.given_twice", f"Duplicate parameter keys have been submitted: {key[:80]!r}."
            )
    return values


@lru_cache(maxsize=128)
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)


@lru_cache(maxsize=128)
def _lists(kind: type[Any]) -> frozenset[str]:
    hints = typing.get_type_hints(kind)
    return frozenset(name for name, hint in hints.items() if "list[" in str(hint))


def body(request: Request, kind: type[T]) -> T:
    """The JSON body; an empty one is an empty object."""
    found: T = decode_json(_decoder(kind), request.body or b"{}")
    return found


def query(request: Request, kind: type[T]) -> T:
    """The query string's fields."""
    lists = _lists(kind)
    fields: dict[str, Any] = {
        name: values if name in lists else values[-1] for name, values in request.query().items()
    }
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid("http.bad_query", f"The query does not fit: {error}.") from error


def either(request: Request, kind: type[T]) -> T:
    """The body if there is one, else the query string."""
    return body(request, kind) if request.body else query(request, kind)


def number(value: float | str | None, name: str) -> float:
    """A number, also in the wire's own words for those that JSON does not have."""
    if value is None:
        raise missing(name)
    if not isinstance(value, str):
        return value
    if value in _SPECIAL:
        return _SPECIAL[value]
    try:
        found = float(value)
    except ValueError:
        found = None
    if found is None or "_" in value or abs(found) == float("inf") or found != found:  # noqa: PLR0124 - NaN
        raise Invalid(
            "http.bad_number",
            f"Invalid value {value[:40]!r} for parameter '{name}' supplied: "
            "specify it as a double (64-bit floating point).",
        )
    return found


def view_of(name: str | int | None) -> View:
    """Which runs or experiments are wanted: live ones unless said."""
    if name is None:
        return "active"
    view = _VIEWS.get(str(name))
    if view is None:
        raise Invalid(
            "http.bad_view",
            f"Invalid value {str(name)[:40]!r} for a view type.",
            hint="Views are ACTIVE_ONLY, DELETED_ONLY and ALL.",
        )
    return view


def pairs(found: Sequence[Pair] | None) -> tuple[tuple[str, str], ...]:
    """Keys and values; a missing value is empty."""
    return tuple((pair.key, pair.value or "") for pair in found or ())
