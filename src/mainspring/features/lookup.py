"""Rows of a request into features: entities looked up, the rest computed, and how old all of it is."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np

from mainspring.core.errors import Invalid, NotFound
from mainspring.core.schema import Column
from mainspring.core.time import to_micros
from mainspring.features.online import (
    NOBODY,
    OnlinePlan,
    OnlineView,
    decoded_plan,
    entity_keys,
    missing_column,
)
from mainspring.features.point_in_time import asked_online
from mainspring.features.request import Request, Side, micros
from mainspring.ports.clock import Clock
from mainspring.ports.online import Online
from mainspring.ports.tables import Frame, Tables

Array = np.ndarray[Any, Any]

CACHED_ENTITIES: Final = 50_000
CACHED_SECONDS: Final = 1.0
_KINDS: Final = {"boolean": "f8", "integer": "f8", "number": "f8", "timestamp": "M8[us]"}


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The features of some rows, and the age of each view in seconds at the time of asking."""

    columns: Frame
    freshness: Mapping[str, float]


@dataclass(slots=True)
class FeatureLookup:
    """What an endpoint turns entity keys into. Safe to call from any thread.

    Values are kept for a second, so many of the same entity cost one read; the number kept is
    bounded whoever asks.
    """

    online: Online
    tables: Tables
    clock: Clock
    cached_entities: int = CACHED_ENTITIES
    cached_seconds: float = CACHED_SECONDS
    _plans: dict[str, tuple[float, OnlinePlan]] = field(default_factory=dict)
    _cache: OrderedDict[tuple[str, str, str], tuple[float, int, bytes | None]] = field(
        default_factory=OrderedDict
    )
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def features(self, recipe: str, rows: Sequence[Mapping[str, Any]]) -> LookedUp:
        """The features that a model of this recipe was trained on, for rows as a request has them.

        A row holds what is known ahead: the columns that name its entities and those its own
        features are made of. Without a time it is asked about now.
        Errors: ``features.not_materialized``, ``features.missing_column``,
        ``features.bad_value``, ``features.unknown_entity`` where that is declared an error.
        """
        now_micros = to_micros(self.clock.now())
        plan = self._plan(recipe)
        given = _frame(plan, rows, now_micros)
        found, freshness = self._found(recipe, plan, given, (len(rows), now_micros))
        sql, columns = _query(msgspec.json.encode(plan))
        number = np.arange(len(rows))
        relations: dict[str, Any] = {"given": {"_id": number, **given}}
        if found:
            relations["found"] = {"_id": number, **found}
        made = self.tables.query(sql, relations)
        return LookedUp({name: made[name] for name in columns}, freshness)

    # -- inside -------------------------------------------------------------------------------

    def _plan(self, recipe: str) -> OnlinePlan:
        until, plan = self._plans.get(recipe, (0.0, None))
        if plan is None or until < time.monotonic():
            plan = decoded_plan(self.online.plan(recipe), recipe)
            self._plans[recipe] = (time.monotonic() + self.cached_seconds, plan)
        return plan

    def _found(
        self, recipe: str, plan: OnlinePlan, given: Frame, asked: tuple[int, int]
    ) -> tuple[dict[str, Array], dict[str, float]]:
        count, now_micros = asked
        found: dict[str, Array] = {}
        freshness: dict[str, float] = {}
        times = _prediction_times(plan, given, count, now_micros)
        for view in plan.views:
            keys = entity_keys(given, view.keys, count)
            as_of, values = self._values(recipe, view, keys, plan)
            freshness[view.name] = max(0.0, (now_micros - as_of) / 1e6)
            found |= _columns(plan, view, values, times)
        return found, freshness

    def _values(
        self, recipe: str, view: OnlineView, keys: Sequence[str | None], plan: OnlinePlan
    ) -> tuple[int, list[list[Any] | None]]:
        """The moment of the oldest value, and each row's values; None for an entity of null."""
        wanted = [*dict.fromkeys(key for key in keys if key is not None), NOBODY]
        stored = self._stored(recipe, view.name, wanted)
        unknown = [key for key in wanted[:-1] if stored[key][1] is None]
        if unknown and plan.missing == "error":
            raise NotFound(
                "features.unknown_entity",
                f"Nothing is known of {unknown[0][:80]!r} in the view {view.name!r}.",
                hint="Publish newer facts with 'mainspring features materialize', or declare "
                "missing_entity = 'as_trained'.",
                view=view.name,
            )
        nobody = stored[NOBODY][1]
        decoded = {
            key: msgspec.msgpack.decode(value if value is not None else nobody or b"\x90")
            for key, (_, value) in stored.items()
        }
        return min(as_of for as_of, _ in stored.values()), [
            None if key is None else decoded[key] for key in keys
        ]

    def _stored(
        self, recipe: str, view: str, keys: Sequence[str]
    ) -> dict[str, tuple[int, bytes | None]]:
        now = time.monotonic()
        stored: dict[str, tuple[int, bytes | None]] = {}
        with self._turn:
            for key in keys:
                kept = self._cache.get((recipe, view, key))
                if kept is not None and kept[0] > now:
                    stored[key] = kept[1:]
        absent = [key for key in keys if key not in stored]
        if absent:
            found = self.online.find(recipe, view, absent)
            if found is None:
                raise NotFound(
                    "features.not_materialized",
                    f"The view {view!r} is not in the online store.",
                    hint="Publish it with: mainspring features materialize.",
                    view=view,
                )
            fresh = {
                key: (found.as_of_micros, value)
                for key, value in zip(absent, found.values, strict=True)
            }
            stored |= fresh
            self._keep(recipe, view, fresh, now + self.cached_seconds)
        return stored

    def _keep(
        self, recipe: str, view: str, fresh: Mapping[str, tuple[int, bytes | None]], until: float
    ) -> None:
        with self._turn:
            for key, (as_of, value) in fresh.items():
                self._cache[(recipe, view, key)] = (until, as_of, value)
                self._cache.move_to_end((recipe, view, key))
            while len(self._cache) > self.cached_entities:
                self._cache.popitem(last=False)


@lru_cache(maxsize=64)
def _query(plan: bytes) -> tuple[str, tuple[str, ...]]:
    read = msgspec.json.decode(plan, type=OnlinePlan)
    found = {name: kind for view in read.views for name, kind in view.columns.items()}
    sql, columns = asked_online(read.definition, _request(read), found)
    return sql, tuple(column.name for column in columns)


def _request(plan: OnlinePlan) -> Request:
    return Request(plan.problem, Side(plan.problem.dataset, plan.spec, plan.schema), {})


def _columns(
    plan: OnlinePlan, view: OnlineView, values: list[list[Any] | None], times: Array
) -> dict[str, Array]:
    """A view's values by column; what is older than the view allows at T is nothing."""
    made: dict[str, Array] = {}
    kept = [
        None if one is None or _too_old(view, one, at) else one
        for one, at in zip(values, times.tolist(), strict=True)
    ]
    for place, name in enumerate(view.columns):
        column = [None if one is None else one[place] for one in kept]
        if name in plan.definition.categories:
            made[name] = np.array(column, dtype=object)
        else:
            made[name] = np.array(column, dtype=np.float64)
    return made


def _too_old(view: OnlineView, values: list[Any], at_micros: int) -> bool:
    if not view.max_age_micros or len(values) == len(view.columns):
        return False
    fact = values[-1]
    return fact is None or at_micros - int(fact) > view.max_age_micros


def _prediction_times(plan: OnlinePlan, given: Frame, count: int, now_micros: int) -> Array:
    time_column = plan.spec.time
    if time_column is None:
        return np.full(count, now_micros, dtype=np.int64)
    events = given[time_column].astype("M8[us]").astype(np.int64)
    return events - micros(plan.problem.predict_before)


def _frame(plan: OnlinePlan, rows: Sequence[Mapping[str, Any]], now_micros: int) -> Frame:
    request = _request(plan)
    known = {*request.known_ahead, *((plan.spec.time,) if plan.spec.time else ())}
    entity = {name for view in plan.views for name in view.keys}
    free = (set(plan.spec.key) - entity) | {plan.spec.time}
    event = now_micros + micros(plan.problem.predict_before)
    made: dict[str, Array] = {}
    for column in plan.schema.columns:
        if column.name not in known:
            continue
        if column.name not in free and any(column.name not in row for row in rows):
            raise missing_column(column.name)
        values = [row.get(column.name) for row in rows]
        if column.name == plan.spec.time:
            values = [_moment(event) if value is None else value for value in values]
        made[column.name] = _array(column, values)
    return made


def _moment(at_micros: int) -> str:
    return str(np.datetime64(at_micros, "us"))


def _array(column: Column, values: list[Any]) -> Array:
    kind = _KINDS.get(column.type)
    wanted = (int, float) if kind == "f8" else str
    if any(value is not None and not isinstance(value, wanted) for value in values):
        raise _bad_value(column)
    try:
        if column.type == "timestamp":
            values = [v and v.removesuffix("Z").removesuffix("+00:00") for v in values]
        return np.array(values, dtype=kind or object)
    except (ValueError, OverflowError) as error:
        raise _bad_value(column) from error


def _bad_value(column: Column) -> Invalid:
    return Invalid(
        "features.bad_value",
        f"A value of {column.name!r} is not a {column.type}.",
        hint="Numbers as numbers, texts as texts, moments as ISO 8601 in UTC; or null.",
        column=column.name,
    )
