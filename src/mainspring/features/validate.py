"""Refusing a feature set that cannot work, or that would look ahead, before any fact is read.

Each expression is described by the query engine over an empty relation that has exactly the
columns it may see. So a column of the future is not found, however the expression reaches for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from mainspring.core.errors import Invalid, MainspringError, NotFound
from mainspring.core.names import did_you_mean
from mainspring.core.schema import Column, Schema
from mainspring.data.cleaning import engine_type, stored_type
from mainspring.data.sql import quoted
from mainspring.features.point_in_time import FIXED, Compiled, compiled
from mainspring.features.request import Request, Side
from mainspring.features.types import (
    DerivedView,
    FeatureColumn,
    FeatureSet,
    LatestView,
    Measure,
    PendingView,
    PlannedView,
    RollingView,
    RowView,
    View,
)
from mainspring.ports.tables import Tables

_COLUMN = re.compile(r'Referenced column "([^"]+)"|column named "([^"]+)"|no relation \'([^\']+)\'')
_NUMBERS: Final = frozenset({"integer", "number", "boolean"})


def checked(tables: Tables, definition: FeatureSet, request: Request) -> Compiled:
    """The compiled set, once every expression and column of it is known to work.

    Errors: ``features.unknown_column``, ``features.looks_ahead``, ``features.unknown_dataset``,
    ``features.no_time``, ``features.duplicate_feature``, ``features.not_a_number``,
    ``features.bad_sql``, ``features.unknown_category``.
    """
    ahead = _only(request.rows.schema, request.known_ahead)
    if not ahead.columns:
        raise Invalid(
            "features.nothing_known_ahead",
            f"The dataset {request.rows.name!r} names no column as known ahead.",
            hint="List the columns that are known at prediction time under 'known_ahead'.",
        )
    types: dict[str, str] = {}
    for view in definition.views:
        if isinstance(view, DerivedView):
            continue
        for key in getattr(view, "keys", ()):
            _seen(view, key, ahead, request)
        _add(types, view, _types(tables, view, request, ahead))
    for view in definition.views:
        if isinstance(view, DerivedView):
            seen = Schema(
                (*_without(ahead, types), *(Column(n, stored_type(t)) for n, t in types.items()))
            )
            found = _described(tables, view, view.columns, seen, request)
            for name in view.drop:
                if types.pop(name, None) is None:
                    raise _unknown(view, name, list(types), "feature")
            _add(types, view, found)
    _check_kinds(definition, types)
    return compiled(definition, request)


def view_types(tables: Tables, view: View, request: Request) -> dict[str, str]:
    """The engine's type of each column of a view."""
    return _types(tables, view, request, _only(request.rows.schema, request.known_ahead))


def _types(tables: Tables, view: View, request: Request, ahead: Schema) -> dict[str, str]:
    """Each column of a view and the engine's type of it."""
    if isinstance(view, RowView):
        return _described(tables, view, view.columns, ahead, request)
    if isinstance(view, PlannedView):
        _need_time(view, request.rows)
        found = _measured(tables, view, view.measures, ahead, request)
        return {f"{view.name}_{name}": type_ for name, type_ in found.items()}
    assert not isinstance(view, DerivedView)  # noqa: S101 - handled by the caller
    side = request.facts[view.dataset]
    for column in view.keys.values():
        side.require(column, view.name)
    if isinstance(view, LatestView):
        if view.known_at is not None:
            _need_moment(side, view.known_at, view)
        return _described(tables, view, view.columns, side.schema, request)
    _need_time(view, request.rows)
    if isinstance(view, PendingView):
        _need_moment(side, view.since, view)
        _need_moment(side, view.until, view)
        _described(tables, view, {"where": view.where or "true"}, side.schema, request)
        return {f"{view.name}_{name}": "DOUBLE" for name in view.measures}
    known_at = view.known_at or side.spec.known_at or side.spec.time
    if known_at is None:
        raise _no_time(view, side)
    _need_moment(side, known_at, view)
    found = _measured(tables, view, view.measures, side.schema, request)
    return {
        column.name: found[column.name[len(view.name) + 1 :].rpartition("_")[0]]
        for column in _rolling_columns(view)
    }


def _rolling_columns(view: RollingView) -> list[FeatureColumn]:
    from mainspring.features.streams import window_label

    return [
        FeatureColumn(
            name=f"{view.name}_{name}_{window_label(text)}", type="number", view=view.name
        )
        for text in view.windows
        for name in view.measures
    ]


def _measured(
    tables: Tables,
    view: RollingView | PlannedView,
    measures: Mapping[str, Measure],
    schema: Schema,
    request: Request,
) -> dict[str, str]:
    parts = {}
    for name, measure in measures.items():
        value = measure.sql or "1"
        typed = value if measure.kind == "share" else f"CAST(({value}) AS DOUBLE)"
        parts[name] = f"CASE WHEN ({measure.where or 'true'}) THEN ({typed}) END"
    found = _described(tables, view, parts, schema, request)
    for name, type_ in found.items():
        if measures[name].kind == "share" and type_ != "BOOLEAN":
            raise Invalid(
                "features.not_a_condition",
                f"View {view.name!r}: share({measures[name].sql!r}) is no condition ({type_}).",
                hint="Write a condition such as 'delay > 15', or use mean().",
                view=view.name,
            )
    return dict.fromkeys(found, "DOUBLE")


def _described(
    tables: Tables, view: View, expressions: Mapping[str, str], schema: Schema, request: Request
) -> dict[str, str]:
    """The engine's types of expressions over one relation that has these columns and no rows."""
    if not expressions:
        return {}
    empty = ", ".join(
        f"CAST(NULL AS {engine_type(column.type)}) AS {quoted(column.name)}"
        for column in schema.columns
    )
    values = ", ".join(f"({sql}\n) AS {quoted(name)}" for name, sql in expressions.items())
    sql = f"WITH visible AS (SELECT {empty}) SELECT {values} FROM visible"
    try:
        found = tables.query(f"SELECT column_name, column_type FROM (DESCRIBE {sql})", {})
    except MainspringError as error:
        if error.code != "tables.bad_query":
            raise
        raise _explained(error, view, schema, request) from error
    return dict(zip(map(str, found["column_name"]), map(str, found["column_type"]), strict=True))


def _explained(error: MainspringError, view: View, schema: Schema, request: Request) -> Invalid:
    found = _COLUMN.search(error.message)
    if found is None:
        words = error.message.strip().splitlines()[0]
        return Invalid(
            "features.bad_sql",
            f"View {view.name!r}: an expression does not work. {words}",
            hint="Expressions are DuckDB SQL over the columns that the view may see.",
            view=view.name,
        )
    column = next(word for word in found.groups() if word)
    if column in request.rows.schema.names and isinstance(
        view, RowView | DerivedView | PlannedView
    ):
        return _looks_ahead(view, column, request)
    return _unknown(view, column, schema.names, "column")


def _seen(view: View, column: str, ahead: Schema, request: Request) -> None:
    if column in ahead.names:
        return
    if column in request.rows.schema.names:
        raise _looks_ahead(view, column, request)
    raise _unknown(view, column, ahead.names, "column")


def _looks_ahead(view: View, column: str, request: Request) -> Invalid:
    return Invalid(
        "features.looks_ahead",
        f"View {view.name!r} reads {column!r}, which is not known when the prediction is made.",
        hint=f"If it is, add it to 'known_ahead' of the dataset {request.rows.name!r}; else use a "
        "rolling or latest view, which look at what was known by then.",
        view=view.name,
        column=column,
    )


def _unknown(view: View, name: str, known: Sequence[str], what: str) -> Invalid:
    return Invalid(
        "features.unknown_column",
        f"View {view.name!r} reads {name!r}, which is no {what} here.",
        hint=did_you_mean(name, known),
        view=view.name,
        column=name,
    )


def _add(types: dict[str, str], view: View, found: Mapping[str, str]) -> None:
    taken = {name.lower() for name in (*types, *FIXED)}
    for name in found:
        if name.lower() in taken or name.startswith(("_", "group_")):
            raise Invalid(
                "features.duplicate_feature",
                f"View {view.name!r} makes a feature {name!r}, a name that is taken.",
                hint="Name each feature once; names starting with '_' or 'group_' and "
                f"{', '.join(FIXED)} are used by Mainspring.",
                view=view.name,
                feature=name,
            )
    types.update(found)


def _check_kinds(definition: FeatureSet, types: Mapping[str, str]) -> None:
    for name in definition.categories:
        if name not in types:
            raise Invalid(
                "features.unknown_category",
                f"The category {name!r} is no feature of the set {definition.name!r}.",
                hint=did_you_mean(name, types),
                feature=name,
            )
    for name, type_ in types.items():
        if name not in definition.categories and stored_type(type_) not in _NUMBERS:
            raise Invalid(
                "features.not_a_number",
                f"The feature {name!r} holds {type_} values, not numbers.",
                hint="List it under 'categories', or turn it into a number in its expression.",
                feature=name,
                type=type_,
            )


def _need_time(view: View, rows: Side) -> None:
    if rows.spec.time is None:
        raise _no_time(view, rows)


def _no_time(view: View, side: Side) -> Invalid:
    return Invalid(
        "features.no_time",
        f"View {view.name!r} needs moments, but the dataset {side.name!r} names no time.",
        hint="Add 'time' to the dataset, or use a row or latest view.",
        view=view.name,
    )


def _need_moment(side: Side, column: str, view: View) -> None:
    side.require(column, view.name)
    types = {one.name: one.type for one in side.schema.columns}
    if types[column] not in {"timestamp", "date"}:
        raise Invalid(
            "features.no_time",
            f"View {view.name!r}: {column!r} of {side.name!r} holds {types[column]} values, "
            "not moments.",
            hint="Name a column with moments (UTC).",
            view=view.name,
            column=column,
        )


def _only(schema: Schema, names: Sequence[str]) -> Schema:
    return Schema(tuple(column for column in schema.columns if column.name in names))


def _without(schema: Schema, taken: Mapping[str, str]) -> tuple[Column, ...]:
    lower = {name.lower() for name in taken}
    return tuple(column for column in schema.columns if column.name.lower() not in lower)


def unknown_dataset(view: View, name: str, known: Sequence[str]) -> NotFound:
    """The error for a view over a dataset that has no version."""
    return NotFound(
        "features.unknown_dataset",
        f"View {view.name!r} reads the dataset {name!r}, which has no version yet.",
        hint=did_you_mean(name, known),
        view=view.name,
        dataset=name,
    )
