"""Features for a row that is asked about now: published values by entity, and the row's own.

Publishing asks the very engine that training was built with: for every entity of a view one row is
made up whose prediction time T is now, and what the engine says of it is stored. So a published
value is to the bit what a point-in-time join gives for that entity at that moment. What it cannot
be is newer: it is as old as its publication, and says so.

At the request, expressions over the row and over other features are computed by the same engine
from the published values (:func:`mainspring.features.point_in_time.asked_online`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import numpy as np

from mainspring.core.digest import Digest
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.core.schema import ColumnType, Schema
from mainspring.core.time import to_micros
from mainspring.data import Dataset
from mainspring.data.cleaning import engine_type
from mainspring.data.sql import quoted
from mainspring.features.point_in_time import row_key
from mainspring.features.request import Request, micros
from mainspring.features.service import FeatureViews
from mainspring.features.types import (
    DerivedView,
    FeatureSet,
    LatestView,
    PlannedView,
    RowView,
    View,
)
from mainspring.features.validate import view_types
from mainspring.ports.online import Online, Published
from mainspring.ports.tables import Frame
from mainspring.problem.types import Problem

Array = np.ndarray[Any, Any]
Missing = Literal["as_trained", "error"]

NOBODY: Final = "\x00nobody"  # the entity that no fact is about
_BETWEEN: Final = "\x1f"
_FACT: Final = "online_fact_micros"


class OnlineView(msgspec.Struct, frozen=True, kw_only=True):
    """A published view: the row's columns that name its entity, and its features with their types.

    ``max_age_micros``: a value whose fact is older than that at T is none (0: any age).
    """

    name: str
    keys: tuple[str, ...]
    columns: dict[str, str]
    max_age_micros: int = 0


class OnlinePlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a request needs to become features: kept beside the values, by their recipe."""

    format: Literal["mainspring-online/1"] = "mainspring-online/1"
    definition: FeatureSet
    problem: Problem
    spec: Dataset
    schema: Schema
    views: tuple[OnlineView, ...]
    missing: Missing = "as_trained"


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes the features of a workspace to its online store."""

    features: FeatureViews
    online: Online

    def publish(
        self, definition: FeatureSet, problem: Problem, *, missing: Missing = "as_trained"
    ) -> list[Published]:
        """Every view that looks entities up, as of now, under the recipe of the set.

        Run again it brings the values up to date; a reader never sees half of one.
        Errors: ``features.not_online``, and those of computing features.
        """
        recipe, request = self.features.recipe(definition, problem)
        now = self.features.clock.now()
        plan = OnlinePlan(
            definition=definition,
            problem=problem,
            spec=request.rows.spec,
            schema=request.rows.schema,
            views=tuple(self._online(view, request) for view in _kept(definition)),
            missing=missing,
        )
        for view, kept in zip(_kept(definition), plan.views, strict=True):
            rows = self._values(definition, problem, (view, kept, plan), now)
            self.online.publish(recipe, view.name, rows, as_of_micros=to_micros(now))
        self.online.describe(recipe, msgspec.json.encode(plan))
        return self.online.views(recipe)

    def _online(self, view: Any, request: Request) -> OnlineView:
        types: dict[str, str] = {}
        if isinstance(view, LatestView):
            types = view_types(self.features.tables, view, request)
        return OnlineView(
            name=view.name,
            keys=tuple(view.keys),
            columns={name: types.get(name, "DOUBLE") for name in _columns(view)},
            max_age_micros=micros(view.max_age) if isinstance(view, LatestView) else 0,
        )

    def _values(
        self,
        definition: FeatureSet,
        problem: Problem,
        what: tuple[Any, OnlineView, OnlinePlan],
        now: datetime,
    ) -> Iterator[tuple[str, bytes]]:
        view, kept, plan = what
        asking = self._asking(view, plan, now)
        told = _with_fact_time(view, kept, self.features.datasets.show(view.dataset).spec)
        names = tuple(told.columns) if isinstance(told, LatestView) else tuple(kept.columns)
        alone = FeatureSet(
            views=(told,),
            categories=tuple(n for n in definition.categories if n in kept.columns),
            name=definition.name,
        )
        made = self.features.compute(alone, problem, asking.rows)
        places = {key: place for place, key in enumerate(made["row_key"].tolist())}
        if len(places) != len(asking.entities):
            raise _not_online(view.name, "its rows cannot be told apart by the dataset's key")
        columns = [made[name].tolist() for name in names]
        for entity, key in zip(asking.entities, asking.row_keys, strict=True):
            values = [_plain(column[places[key]]) for column in columns]
            yield entity, msgspec.msgpack.encode(values)

    def _asking(self, view: Any, plan: OnlinePlan, now: datetime) -> _Asking:
        """One made-up row for each entity that has facts, and one for nobody."""
        types = {column.name: column.type for column in plan.schema.columns}
        facts = self.features.datasets.show(view.dataset).relation
        chosen = [
            f"CAST({quoted(theirs)} AS {engine_type(types[mine])}) AS {quoted(mine)}"
            for mine, theirs in view.keys.items()
        ]
        rows: dict[str, Array] = {}
        if chosen:
            there = " AND ".join(f"{quoted(theirs)} IS NOT NULL" for theirs in view.keys.values())
            sql = f"SELECT DISTINCT {', '.join(chosen)} FROM facts WHERE {there}"
            found = self.features.tables.query(sql, {"facts": facts})
            rows = {name: _and_nobody(found[name], types[name]) for name in view.keys}
        count = len(next(iter(rows.values()))) if rows else 1
        found_keys = entity_keys(rows, tuple(view.keys), count)[:-1] if rows else []
        entities = [*(key for key in found_keys if key is not None), NOBODY]
        spec = plan.spec
        if spec.time is not None:
            event = to_micros(now) + micros(plan.problem.predict_before)
            rows[spec.time] = np.full(count, event, dtype="datetime64[us]")
        for name in spec.key:
            if name not in rows:
                rows[name] = _numbered(count, types[name], view.name)
        sql = f"SELECT {row_key(spec.key, 'given')} AS row_key FROM given"
        return _Asking(
            rows, entities, self.features.tables.query(sql, {"given": rows})["row_key"].tolist()
        )


@dataclass(frozen=True, slots=True)
class _Asking:
    rows: Frame
    entities: Sequence[str]
    row_keys: Sequence[str]


def entity_keys(rows: Frame, keys: Sequence[str], count: int) -> list[str | None]:
    """The text that stands for each row's entity; None where a part of it is null."""
    if not keys:
        return [NOBODY] * count
    columns = [[_key_text(value) for value in rows[name].tolist()] for name in keys]
    return [
        None if any(part is None for part in parts) else _BETWEEN.join(map(str, parts))
        for parts in zip(*columns, strict=True)
    ]


def decoded_plan(data: bytes | None, recipe: Digest | str) -> OnlinePlan:
    """The plan of a recipe. Errors: ``features.not_materialized``."""
    if data is None:
        raise NotFound(
            "features.not_materialized",
            "The features that this model was trained on are not in the online store.",
            hint="Publish them with: mainspring features materialize.",
            recipe=str(recipe),
        )
    return msgspec.json.decode(data, type=OnlinePlan)


def _kept(definition: FeatureSet) -> list[Any]:
    """The views whose values are published, in their order."""
    planned = [view.name for view in definition.views if isinstance(view, PlannedView)]
    if planned:
        raise _not_online(planned[0], "it reads the plan around a row, which no entity names")
    return [view for view in definition.views if not isinstance(view, RowView | DerivedView)]


def _columns(view: Any) -> tuple[str, ...]:
    from mainspring.features.streams import window_label

    if isinstance(view, LatestView):
        return tuple(view.columns)
    if hasattr(view, "windows"):
        return tuple(
            f"{view.name}_{name}_{window_label(text)}"
            for text in view.windows
            for name in view.measures
        )
    return tuple(f"{view.name}_{measure}" for measure in view.measures)


def _with_fact_time(view: View, kept: OnlineView, facts: Dataset) -> View:
    """A view with a bound on age also gives its fact's time: the bound is on T, which moves on."""
    if not isinstance(view, LatestView) or not kept.max_age_micros or facts.time is None:
        return view
    columns = {**view.columns, _FACT: f"epoch_us({quoted(facts.time)})"}
    return msgspec.structs.replace(view, columns=columns)


def _and_nobody(values: Array, kind: ColumnType) -> Array:
    if kind == "string":
        longest = max((len(value) for value in values.tolist()), default=0)
        return np.array([*values.tolist(), "~" * (longest + 1)], dtype=object)
    if kind in {"integer", "number"}:
        return np.append(values, values.max(initial=0) + 1)
    raise _not_online("", f"a {kind} cannot be the key of an entity")


def _numbered(count: int, kind: ColumnType, view: str) -> Array:
    if kind == "string":
        return np.array([str(number) for number in range(count)], dtype=object)
    if kind in {"integer", "number"}:
        return np.arange(count, dtype=np.int64)
    if kind == "timestamp":
        return np.arange(count, dtype=np.int64).astype("datetime64[us]")
    raise _not_online(view, f"a row's key holds a {kind}, of which none can be made up")


def _key_text(value: Any) -> str | None:
    if value is None or value != value:  # noqa: PLR0124 - NaN is not itself
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _plain(value: Any) -> Any:
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN


def _not_online(view: str, why: str) -> Conflict:
    return Conflict(
        "features.not_online",
        f"The view {view!r} cannot be looked up by entity: {why}.",
        hint="Send its features with the request, or predict from a dataset.",
        view=view,
    )


def missing_column(name: str) -> Invalid:
    """The error for a row that lacks something its features are made of."""
    return Invalid(
        "features.missing_column",
        f"The row lacks {name!r}, which is known when it is asked about.",
        hint="Send every column that the dataset lists as known ahead; null where unknown.",
        column=name,
    )
