"""Finding what a caller named, and saying so when it is not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.core.names import did_you_mean
from mainspring.core.pages import Page
from mainspring.ports.database import Reader, Transaction
from mainspring.registry.names import check_model_name, check_text
from mainspring.registry.ports import RegistryStore
from mainspring.registry.query import Query, write_token
from mainspring.registry.types import Because, Model, Version

Item = TypeVar("Item")
NOTHING = Because()


def need_model(store: RegistryStore, reader: Reader, name: str) -> Model:
    """The live model of this name.

    Errors: ``registry.model_not_found``, with the nearest name there is.
    """
    name = check_model_name(name)
    model = store.find_model(reader, name)
    if model is not None:
        return model
    known = [one.name for one in store.search_models(reader, Query(limit=200))]
    raise NotFound(
        "registry.model_not_found",
        f"There is no model named {name!r}.",
        hint=did_you_mean(name, known),
        name=name,
    )


def need_version(store: RegistryStore, reader: Reader, name: str, number: int) -> Version:
    """The live version of this name and number.

    Errors: ``registry.model_not_found``, ``registry.version_not_found``.
    """
    model = need_model(store, reader, name)
    version = store.find_version(reader, model, number)
    if version is None:
        raise version_not_found(name, number)
    return version


def version_not_found(name: str, number: int | None) -> NotFound:
    """The error for a version that is not there."""
    return NotFound(
        "registry.version_not_found",
        f"{name!r} has no version {number}." if number is not None else f"{name!r} has no version.",
        hint=f"List its versions with 'mainspring models ls {name}'.",
        name=name,
        version=number,
    )


def refuse_live(what: str, aliases: Sequence[str]) -> None:
    """Nothing, unless aliases still point at what is to go.

    Errors: ``registry.version_live``.
    """
    if aliases:
        raise Conflict(
            "registry.version_live",
            f"{what} is still pointed at by {', '.join(sorted(aliases))}.",
            hint="Move or remove the alias first.",
            aliases=sorted(aliases),
        )


def check_because(because: Because) -> Because:
    """The reason itself, once it can be recorded.

    Errors: ``registry.bad_text``, ``registry.bad_evidence``.
    """
    check_text("reason", because.why, longest=5_000)
    check_text("key", because.key, longest=256)
    try:
        text = canonical_json(because.evidence).decode()
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise Invalid(
            "registry.bad_evidence",
            f"Evidence must be JSON ({error}).",
            hint="Convert numpy values with .item().",
        ) from error
    check_text("evidence", text, longest=1_000_000)
    if "\\u0000" in text:
        raise Invalid("registry.bad_evidence", "Evidence holds NUL.", hint="Remove it.")
    return because


def actor_name(tx: Transaction, because: Because) -> str:
    """The actor as histories show it."""
    return str(because.actor or tx.actor)


def page(query: Query, rows: list[Item], keys: Callable[[Item], Sequence[str | int]]) -> Page[Item]:
    """Rows of a listing as a page, with the token of the next when there are more."""
    kept = rows[: query.limit]
    token = write_token(query, keys(kept[-1])) if len(rows) > query.limit else None
    return Page(items=tuple(kept), next_token=token)
