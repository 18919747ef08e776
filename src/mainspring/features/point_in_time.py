"""A feature set as SQL that sees of every row only what was known at its T. Pure text.

::

    rows (a stretch of event time, numbered)
     ├─ known      the columns known ahead, and T: all that features of the row itself can see
     ├─ one common table per row or latest view:  number -> columns
     ├─ windowed   what :mod:`mainspring.features.windows` made of facts known by T
     └─ label, its moment, groups: never read by a view
    result: one row out for each row in, whatever the facts hold

A fact takes part when its moment of knowledge is at or before T; for *latest* also its own time
must be. Ties are broken by the whole fact, never by chance. Joins are on equal keys; a missing key
matches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mainspring.data.cleaning import engine_type
from mainspring.data.sql import literal, names, quoted
from mainspring.features.request import Request, end_shift, micros
from mainspring.features.streams import Plan, asked_query, facts_query, key_tables, planned
from mainspring.features.types import (
    DerivedView,
    FeatureColumn,
    FeatureSet,
    LatestView,
    PendingView,
    PlannedView,
    RollingView,
    RowView,
)

ALWAYS = -(2**62)  # the moment of facts that were always known
FIXED = ("row_key", "event_time", "prediction_time", "label", "label_known_at")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Event times from ``start`` until before ``end``; None is unbounded."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A feature set as queries over the relations ``rows``, ``all_rows`` and ``facts_<dataset>``.

    ``prefix`` begins every query; ``plan`` says what to fetch and to add up over windows, and
    ``sql`` takes the result as the relation ``windowed``, by row number.
    """

    prefix: str
    plan: Plan
    sql: str
    columns: tuple[FeatureColumn, ...]
    order: str

    def asked(self) -> str:
        """The query of each row's T and keys."""
        tables = ", ".join((self.prefix, *key_tables(self.plan)))
        return f"WITH {tables} {asked_query(self.plan, self.order)}"

    def facts(self, name: tuple[str, str], at: tuple[int, int]) -> str:
        """The query of one relation's facts, as far as rows with T in ``at`` may see them."""
        facts = self.plan.facts[name]
        streams = [one for one in self.plan.streams.values() if self.plan.source(one) == name]
        tables = ", ".join((self.prefix, *key_tables(self.plan)))
        return f"WITH {tables} {facts_query(facts, streams, at)}"


def compiled(definition: FeatureSet, request: Request, stretch: Stretch = Stretch()) -> Compiled:  # noqa: B008 - frozen
    """The queries that give one row per row of the stretch, with all features of the set."""
    spec = request.rows.spec
    prefix = [f"plan AS (SELECT {names(request.known_ahead)} FROM all_rows)"]
    prefix.append(f"chosen AS (SELECT * FROM rows{_where(request, stretch)})")
    prefix.append(f"known AS ({_known_columns(request)})")
    tables, columns = [], []
    sources: dict[str, tuple[str, ...]] = {}
    for index, view in enumerate(definition.views):
        label = f"v{index}"
        if isinstance(view, RowView):
            tables.append(f"{label} AS ({_row(view)})")
        elif isinstance(view, LatestView):
            tables += _latest(view, request, label)
        else:
            continue
        dataset = view.dataset if isinstance(view, LatestView) else None
        columns += [_column(definition, name, view.name, dataset) for name in view.columns]
        sources[label] = tuple(view.columns)
    plan = planned(
        (v for v in definition.views if isinstance(v, RollingView | PendingView | PlannedView)),
        request,
    )
    if plan.columns:
        sources["windowed"] = tuple(column.name for column in plan.columns)
        columns += plan.columns
    body, columns = _with_derived(definition, request, sources, columns)
    order = names(dict.fromkeys([*([spec.time] if spec.time else []), *spec.key]))
    numbered = (
        f"numbered AS MATERIALIZED (SELECT *, row_number() OVER (ORDER BY {order}) - 1 AS _id "
        "FROM chosen)"
    )
    every = ", ".join(
        (prefix[0], prefix[1], numbered, f"known AS ({_known_columns(request, numbered=True)})")
    )
    rest = "".join(f", {table}" for table in tables)
    sql = f"WITH {every}{rest}, features AS ({body}) {_result(request, columns)}"
    return Compiled(", ".join(prefix), plan, sql, tuple(columns), order)


def asked_online(
    definition: FeatureSet, request: Request, found: Mapping[str, str]
) -> tuple[str, tuple[FeatureColumn, ...]]:
    """The query of features for rows whose looked-up features are known already.

    Relations: ``given`` has ``_id`` and the rows' columns; ``found`` has ``_id`` and the columns
    of ``found``, which maps each to its type. Expressions are the same text as in
    :func:`compiled`, over the same types.
    """
    rows = [(f"v{n}", v) for n, v in enumerate(definition.views) if isinstance(v, RowView)]
    tables = [f"numbered AS ({_given(request)})"]
    tables.append(f"known AS ({_known_columns(request, numbered=True)})")
    tables += [f"{label} AS ({_row(view)})" for label, view in rows]
    sources = {label: tuple(view.columns) for label, view in rows}
    columns = [_column(definition, name, v.name) for _, v in rows for name in v.columns]
    if found:
        typed = ", ".join(f"CAST({quoted(n)} AS {t}) AS {quoted(n)}" for n, t in found.items())
        tables.append(f"windowed AS (SELECT _id, {typed} FROM found)")
        sources["windowed"] = tuple(found)
        columns += [_column(definition, name, "") for name in found]
    body, columns = _with_derived(definition, request, sources, columns)
    values = ", ".join(
        f"CAST({quoted(column.name)} AS {'VARCHAR' if column.type == 'category' else 'DOUBLE'}) "
        f"AS {quoted(column.name)}"
        for column in columns
    )
    return f"WITH {', '.join(tables)} SELECT _id, {values} FROM ({body}) ORDER BY _id", tuple(
        columns
    )


def _given(request: Request) -> str:
    """The given rows in the types that they are stored with."""
    known = set(request.known_ahead)
    chosen = ", ".join(
        f"CAST({quoted(c.name)} AS {engine_type(c.type)}) AS {quoted(c.name)}"
        for c in request.rows.schema.columns
        if c.name in known or c.name == request.rows.spec.time
    )
    return f"SELECT _id, {chosen} FROM given"


def _where(request: Request, stretch: Stretch) -> str:
    time = quoted(request.rows.spec.time) if request.rows.spec.time else "NULL"
    conditions = []
    if stretch.start is not None:
        conditions.append(f"{time} >= {literal(stretch.start)}")
    if stretch.end is not None:
        conditions.append(f"{time} < {literal(stretch.end)}")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _known_columns(request: Request, *, numbered: bool = False) -> str:
    """What a row's features may see of it: T, and the columns known ahead."""
    at = f"{_event(request)} - {request.before_micros} AS _at"
    source = "_id, " if numbered else ""
    return f"SELECT {source}{at}, {names(request.known_ahead)} FROM {'numbered' if numbered else 'chosen'}"


def _event(request: Request) -> str:
    time = request.rows.spec.time
    return f"epoch_us({quoted(time)})" if time else "CAST(NULL AS BIGINT)"


def _row(view: RowView) -> str:
    values = ", ".join(f"({sql}) AS {quoted(name)}" for name, sql in view.columns.items())
    return f"SELECT _id, {values} FROM known"


def _column(
    definition: FeatureSet, name: str, view: str, dataset: str | None = None
) -> FeatureColumn:
    kind = "category" if name in definition.categories else "number"
    return FeatureColumn(name=name, type=kind, view=view, dataset=dataset)  # type: ignore[arg-type]


def _latest(view: LatestView, request: Request, label: str) -> list[str]:
    """The newest fact: a staircase of facts that were, when they came, the newest of their key.

    A fact is there from ``_there``: when it is known and its own time, moved by the bounds, is at
    or before T. Facts that came later but are older than what was there are not steps, so the
    last step at or before T is the newest fact of all that were there.
    """
    side = request.facts[view.dataset]
    keys = [(quoted(mine), side.require(theirs, view.name)) for mine, theirs in view.keys.items()]
    time = side.spec.time
    known = view.known_at or side.spec.known_at or time
    event = f"epoch_us({side.require(time, view.name)})" if time else str(ALWAYS)
    moment = f"epoch_us({side.require(known, view.name)})" if known else str(ALWAYS)
    # Without bounds a fact's own time counts from itself; with a bound on the event it may even
    # lie after T (a forecast), as long as it was known.
    shift = end_shift(view.before_event, view.before_prediction, request.before_micros)
    # greatest() passes over nulls, but a fact without one of its moments is never there.
    there = f"CASE WHEN {event} IS NOT NULL AND {moment} IS NOT NULL THEN "
    there += f"greatest({event} + {shift}, {moment}) END"
    key_columns = ", ".join(f"{theirs} AS k{i}" for i, (_, theirs) in enumerate(keys))
    by_key = ", ".join(f"k{i}" for i, _ in enumerate(keys))
    whole = f"CAST(row({names(side.schema.names)}) AS VARCHAR)"
    values = ", ".join(f"({sql}) AS {quoted(name)}" for name, sql in view.columns.items())
    present = " AND ".join(f"{theirs} IS NOT NULL" for _, theirs in keys)
    partition = f"PARTITION BY {by_key}" if keys else ""
    comma = f"{by_key}, " if keys else ""
    ranked = (
        f"SELECT *, row_number() OVER ({partition} ORDER BY _fact, _moment, _whole) AS _rank FROM ("
        f"SELECT {key_columns}{', ' if keys else ''}{event} AS _fact, {moment} AS _moment, "
        f"{there} AS _there, {whole} AS _whole, {values} "
        f"FROM {quoted('facts_' + view.dataset)} WHERE {present or 'true'}) "
        "WHERE _there IS NOT NULL"
    )
    steps = (
        f"SELECT *, max(_rank) OVER ({partition} ORDER BY _there, _rank "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS _best FROM ({ranked})"
    )
    columns = ", ".join(quoted(name) for name in view.columns)
    staircase = (
        f"{label}_steps AS MATERIALIZED (SELECT {comma}_there, _fact, {columns} FROM ({steps}) "
        f"WHERE _best IS NULL OR _rank > _best "
        f"QUALIFY row_number() OVER (PARTITION BY {comma}_there ORDER BY _rank DESC) = 1)"
    )
    same = " AND ".join(f"q.{mine} = s.k{i}" for i, (mine, _) in enumerate(keys))
    fresh = f"q._at - s._fact <= {micros(view.max_age)}" if view.max_age and time else "true"
    taken = ", ".join(
        f"CASE WHEN {fresh} THEN s.{quoted(name)} END AS {quoted(name)}" for name in view.columns
    )
    at = "q._at" if request.rows.spec.time else "0"
    join = f"ASOF LEFT JOIN {label}_steps s ON {same or 'true'} AND s._there <= {at}"
    if not time and not known:
        join = f"LEFT JOIN {label}_steps s ON {same or 'true'}"
    return [staircase, f"{label} AS MATERIALIZED (SELECT q._id, {taken} FROM known q {join})"]


def _with_derived(
    definition: FeatureSet,
    request: Request,
    sources: Mapping[str, Sequence[str]],
    columns: list[FeatureColumn],
) -> tuple[str, list[FeatureColumn]]:
    """All views side by side, then the derived ones around them, one layer after the other."""
    listed = ", ".join(
        f"{label}.{quoted(name)}" for label, made in sources.items() for name in made
    )
    joins = "".join(f" LEFT JOIN {source} ON {source}._id = known._id" for source in sources)
    made = {column.name.lower() for column in columns}
    kept = [name for name in request.known_ahead if name.lower() not in made]
    plain = ", ".join(f"known.{quoted(name)}" for name in ("_id", *kept))
    body = f"SELECT {plain}{', ' if listed else ''}{listed} FROM known{joins}"
    for view in definition.views:
        if not isinstance(view, DerivedView):
            continue
        values = ", ".join(f"({sql}) AS {quoted(name)}" for name, sql in view.columns.items())
        hidden = f" EXCLUDE ({names(view.drop)})" if view.drop else ""
        body = f"SELECT *{hidden}{', ' if values else ''}{values} FROM ({body})"
        columns = [column for column in columns if column.name not in view.drop]
        columns += [_column(definition, name, view.name) for name in view.columns]
    return body, columns


def _result(request: Request, columns: Sequence[FeatureColumn]) -> str:
    problem, spec = request.problem, request.rows.spec
    target = f"({problem.target_sql})" if problem.target_sql else quoted(problem.target)
    event = f"epoch_us(n.{quoted(spec.time)})" if spec.time else "CAST(NULL AS BIGINT)"
    if problem.label_known_at is not None:
        known = f"n.{quoted(problem.label_known_at)}"
    elif spec.time is not None:
        known = f"make_timestamptz({event} + {micros(problem.label_delay)})"
    else:
        known = "CAST(NULL AS TIMESTAMPTZ)"
    groups = "".join(
        f", CAST(n.{quoted(group)} AS VARCHAR) AS {quoted('group_' + group)}"
        for group in problem.groups
    )
    values = "".join(
        f", CAST(f.{quoted(column.name)} AS {'VARCHAR' if column.type == 'category' else 'DOUBLE'}) "
        f"AS {quoted(column.name)}"
        for column in columns
    )
    return (
        f"SELECT {row_key(spec.key, 'n')} AS row_key, make_timestamptz({event}) AS event_time, "
        f"make_timestamptz({event} - {request.before_micros}) AS prediction_time, CAST(n._label AS DOUBLE) AS label, "
        f"CASE WHEN n._label IS NOT NULL THEN {known} END AS label_known_at{groups}{values} "
        f"FROM (SELECT *, {target} AS _label FROM numbered) n JOIN features f ON f._id = n._id "
        "ORDER BY n._id"
    )


def row_key(key: Sequence[str], table: str) -> str:
    """The SQL of a row's key as one text: its values, ``|`` between them."""
    parts = [f"replace(CAST({table}.{quoted(name)} AS VARCHAR), '|', '\\|')" for name in key]
    return f"concat_ws('|', {', '.join(parts)})"
