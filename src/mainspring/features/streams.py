"""What windows are made of: streams of facts at their moments of knowledge. Pure text and plans.

Views with the same keys share one numbering of keys, views over the same dataset share one query:
it fetches, for every fact, the number of each key, the moment of each stream and what the fact
adds to each sum, all of them whole numbers. :mod:`mainspring.features.windows` adds them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from mainspring.data.sql import quoted
from mainspring.features.request import Request, Side, end_shift, micros
from mainspring.features.types import (
    FeatureColumn,
    Measure,
    PendingView,
    PlannedView,
    RollingView,
)

Windowed = RollingView | PendingView | PlannedView
Kind = Literal["count", "total", "ratio", "highest", "lowest", "pending", "minutes"]

NOWHERE: Final = -(2**63)  # the moment of a fact that never comes to be known in a stream
PLAN: Final = "plan"  # the relation of rows as planned: their columns known ahead only


@dataclass(frozen=True, slots=True)
class WindowColumn:
    """How one feature is had from the sums of a stream over a window.

    ``rows`` and ``amount`` name values of the stream; a ratio is amount / (rows * scale).
    A pending column adds up all of its stream, and takes off all of ``closing``.
    """

    feature: FeatureColumn
    kind: Kind
    rows: str = ""
    amount: str = ""
    window: int = 0
    scale: int = 1
    at_least: int = 1


@dataclass(slots=True)
class Stream:
    """Facts of one relation at one kind of moment, by one choice of keys.

    ``reach`` is the longest window; a pending stream reaches back for ever.
    """

    relation: str
    moment: str
    group: str
    reach: int = 0
    closing: str = ""
    columns: list[WindowColumn] = field(default_factory=list)


@dataclass(slots=True)
class Facts:
    """One relation: the keys, moments and values to fetch of it, by the names they are given."""

    relation: str
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)  # group -> columns of the facts
    moments: dict[str, str] = field(default_factory=dict)  # SQL -> name
    values: dict[str, str] = field(default_factory=dict)  # SQL -> name

    def moment(self, sql: str) -> str:
        return self.moments.setdefault(sql, f"m{len(self.moments)}")

    def value(self, sql: str) -> str:
        return self.values.setdefault(sql, f"s{len(self.values)}")


@dataclass(slots=True)
class Plan:
    """All windows of a feature set: what to ask, what to fetch and what to add up."""

    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # name -> columns of the row
    facts: dict[tuple[str, str], Facts] = field(default_factory=dict)
    streams: dict[tuple[str, ...], Stream] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[FeatureColumn, ...]:
        """The features it gives."""
        return tuple(one.feature for stream in self.streams.values() for one in stream.columns)

    def group(self, keys: Mapping[str, str]) -> str:
        """The name of the group with these columns of the row, in one order for all views."""
        wanted = tuple(sorted(keys))
        for name, columns in self.groups.items():
            if columns == wanted:
                return name
        name = f"g{len(self.groups)}"
        self.groups[name] = wanted
        return name

    def fetched(self, relation: str, group: str, keys: tuple[str, ...]) -> Facts:
        """The facts of a relation; fetched twice only if a group has other keys there."""
        for facts in self.facts.values():
            if facts.relation == relation and facts.keys.get(group, keys) == keys:
                facts.keys[group] = keys
                return facts
        facts = self.facts[(relation, f"f{len(self.facts)}")] = Facts(relation, {group: keys})
        return facts

    def source(self, stream: Stream) -> tuple[str, str]:
        """Which fetched facts a stream reads."""
        return next(
            name
            for name, facts in self.facts.items()
            if facts.relation == stream.relation
            and stream.group in facts.keys
            and stream.moment in facts.moments.values()
        )


def planned(views: Iterable[Windowed], request: Request) -> Plan:
    """The plan of all windows of these views."""
    plan = Plan()
    for view in views:
        if isinstance(view, PendingView):
            _add_pending(plan, view, request)
        elif isinstance(view, PlannedView):
            _add_planned(plan, view, request)
        else:
            _add_rolling(plan, view, request)
    return plan


def window_label(text: str) -> str:
    """A window as names of features carry it: as it was written, without blanks."""
    return text.replace(" ", "")


def _add_rolling(plan: Plan, view: RollingView, request: Request) -> None:
    side = request.facts[view.dataset]
    column = view.known_at or side.spec.known_at or side.spec.time or ""
    shift = end_shift(view.before_event, view.before_prediction, request.before_micros)
    # Facts are never used before they are known, whatever the view asks for.
    moment = f"epoch_us({side.require(column, view.name)}) + {max(shift, 0)}"
    facts, group = _facts(plan, side, f"facts_{view.dataset}", view)
    for text in view.windows:
        for name, measure in view.measures.items():
            feature = FeatureColumn(
                name=f"{view.name}_{name}_{window_label(text)}",
                type="number",
                view=view.name,
                dataset=view.dataset,
            )
            _measure(plan, (facts, group, moment), feature, measure, (micros(text), view.at_least))


def _add_planned(plan: Plan, view: PlannedView, request: Request) -> None:
    side = request.rows
    before, after = micros(view.before), micros(view.after)
    # The window (T - window, T] of moments moved to T: [event - before, event + after].
    shift = -(request.before_micros + after)
    moment = f"epoch_us({side.require(side.spec.time or '', view.name)}) + {shift}"
    facts, group = _facts(plan, side, PLAN, view)
    for name, measure in view.measures.items():
        feature = FeatureColumn(
            name=f"{view.name}_{name}", type="number", view=view.name, dataset=side.name
        )
        _measure(plan, (facts, group, moment), feature, measure, (before + after + 1, 1))


def _add_pending(plan: Plan, view: PendingView, request: Request) -> None:
    """In at ``since``, out at ``until``: what is left at T is pending."""
    side = request.facts[view.dataset]
    since = f"epoch_us({side.require(view.since, view.name)})"
    until = f"epoch_us({side.require(view.until, view.name)})"
    lasting = f"({until} IS NULL OR {until} > {since}) AND ({view.where or 'true'})"
    facts, group = _facts(plan, side, f"facts_{view.dataset}", view)
    opens = facts.moment(f"CASE WHEN {lasting} THEN {since} END")
    closes = facts.moment(f"CASE WHEN {lasting} THEN {until} END")
    stream = _stream(plan, facts, group, opens, closing=closes)
    for measure in view.measures:
        feature = FeatureColumn(
            name=f"{view.name}_{measure}", type="number", view=view.name, dataset=view.dataset
        )
        kind: Kind = "pending" if measure == "count" else "minutes"
        stream.columns.append(WindowColumn(feature, kind))


def _facts(plan: Plan, side: Side, relation: str, view: Windowed) -> tuple[Facts, str]:
    group = plan.group(view.keys)
    keys = tuple(side.require(view.keys[key], view.name) for key in plan.groups[group])
    return plan.fetched(relation, group, keys), group


def _stream(plan: Plan, facts: Facts, group: str, moment: str, *, closing: str = "") -> Stream:
    identity = (facts.relation, *facts.keys[group], group, moment, closing)
    stream = Stream(facts.relation, moment, group, closing=closing)
    return plan.streams.setdefault(identity, stream)


def _measure(
    plan: Plan,
    where: tuple[Facts, str, str],
    feature: FeatureColumn,
    measure: Measure,
    window: tuple[int, int],
) -> None:
    facts, group, moment = where
    length, at_least = window
    stream = _stream(plan, facts, group, facts.moment(moment))
    stream.reach = max(stream.reach, length)
    chosen = f"({measure.where})" if measure.where else "true"
    value = f"({measure.sql})"
    there = f"{chosen} AND {value} IS NOT NULL"
    if measure.kind == "count":
        rows = facts.value(f"CASE WHEN {chosen} THEN 1 ELSE 0 END")
        column = WindowColumn(feature, "count", rows=rows, window=length)
    elif measure.kind in {"highest", "lowest"}:
        amount = facts.value(f"CASE WHEN {there} THEN CAST({value} AS DOUBLE) END")
        kind: Kind = "highest" if measure.kind == "highest" else "lowest"
        column = WindowColumn(feature, kind, amount=amount, window=length)
    else:
        scale = 1 if measure.kind == "share" else 10**measure.decimals
        whole = f"CASE WHEN {value} THEN 1 ELSE 0 END"
        if measure.kind != "share":
            whole = f"CAST(round({value} * {scale}) AS BIGINT)"
        column = WindowColumn(
            feature,
            "total" if measure.kind == "total" else "ratio",
            rows=facts.value(f"CASE WHEN {there} THEN 1 ELSE 0 END"),
            amount=facts.value(f"CASE WHEN {there} THEN {whole} ELSE 0 END"),
            window=length,
            scale=scale,
            at_least=max(at_least, 1),
        )
    stream.columns.append(column)


# -- plans into SQL ---------------------------------------------------------------------------


def key_tables(plan: Plan) -> list[str]:
    """A number for each key that is asked for; facts with other keys are never looked at."""
    tables = []
    for name, keys in plan.groups.items():
        if not keys:
            tables.append(f"{name}_keys AS MATERIALIZED (SELECT 0 AS _key)")
            continue
        columns = ", ".join(f"{quoted(key)} AS k{i}" for i, key in enumerate(keys))
        order = ", ".join(f"k{i}" for i, _ in enumerate(keys))
        there = " AND ".join(f"{quoted(key)} IS NOT NULL" for key in keys)
        tables.append(
            f"{name}_keys AS MATERIALIZED (SELECT *, row_number() OVER (ORDER BY {order}) - 1 "
            f"AS _key FROM (SELECT DISTINCT {columns} FROM known WHERE {there}))"
        )
    return tables


def asked_query(plan: Plan, order: str) -> str:
    """Each row's T and key numbers, in the order of the rows; a missing key is -1."""
    keys = {name: tuple(map(quoted, columns)) for name, columns in plan.groups.items()}
    numbers = "".join(f", {number}" for number in _numbers(keys))
    return f"SELECT _at{numbers} FROM known f{_joins(keys)} ORDER BY {order}"


def facts_query(facts: Facts, streams: Iterable[Stream], at: tuple[int, int]) -> str:
    """The key numbers, moments and values of all facts that some row of T in ``at`` may see."""
    first, last = at
    moments = [f"coalesce({sql}, {NOWHERE}) AS {name}" for sql, name in facts.moments.items()]
    values = [f"{sql} AS {name}" for sql, name in facts.values.items()]
    seen = []
    for stream in streams:
        if stream.closing:
            seen.append(
                f"({stream.moment} <= {last} AND "
                f"({stream.closing} > {first} OR {stream.closing} = {NOWHERE}))"
            )
        else:
            low = first - stream.reach
            seen.append(f"({stream.moment} > {low} AND {stream.moment} <= {last})")
    columns = ", ".join((*_numbers(facts.keys), *facts.moments.values(), *facts.values.values()))
    inner = ", ".join(("*", *moments, *values))
    return (
        f"SELECT {columns} FROM (SELECT {inner} FROM {quoted(facts.relation)}) f"
        f"{_joins(facts.keys)} WHERE {' OR '.join(dict.fromkeys(seen))}"
    )


def _numbers(keys: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [f"coalesce(k_{name}._key, -1) AS {name}" for name in keys]


def _joins(keys: Mapping[str, tuple[str, ...]]) -> str:
    parts = []
    for name, columns in keys.items():
        on = " AND ".join(f"f.{column} = k_{name}.k{i}" for i, column in enumerate(columns))
        parts.append(f" LEFT JOIN {name}_keys k_{name} ON {on or 'true'}")
    return "".join(parts)
