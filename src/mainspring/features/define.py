"""The words in which a project's Python file defines features.

Example:
    >>> features = feature_set(
    ...     row("schedule", {"hour": "hour(departs_at)"}),
    ...     rolling(
    ...         "origin",
    ...         dataset="orders",
    ...         keys=["origin"],
    ...         measures={"delay": mean("delay")},
    ...         windows=["3h"],
    ...         known_at="departed_at",
    ...     ),
    ...     name="late",
    ... )
    >>> [view.name for view in features.views]
    ['schedule', 'origin']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from mainspring.core.durations import parse_duration
from mainspring.core.errors import Invalid
from mainspring.core.names import check_name
from mainspring.features.types import (
    DerivedView,
    FeatureSet,
    LatestView,
    Measure,
    PendingView,
    PlannedView,
    RollingView,
    RowView,
    View,
)

Keys = Sequence[str] | Mapping[str, str]
Columns = Sequence[str] | Mapping[str, str]


def feature_set(*views: View, categories: Iterable[str] = (), name: str = "features") -> FeatureSet:
    """Views in order, as one set; a later view may derive from the columns of those before it.

    Errors: ``core.bad_name``, ``features.duplicate_view``.
    """
    check_name("feature set", name)
    seen = [view.name for view in views]
    twice = sorted({one for one in seen if seen.count(one) > 1})
    if twice:
        raise Invalid(
            "features.duplicate_view",
            f"Two views are named {twice[0]!r}.",
            hint="Give each view its own name; its columns carry it.",
            view=twice[0],
        )
    return FeatureSet(views=views, categories=tuple(categories), name=name)


def row(name: str, columns: Mapping[str, str]) -> RowView:
    """Features of the row itself: name -> SQL over columns that are known ahead."""
    return RowView(name=name, columns=dict(columns))


def derived(name: str, columns: Mapping[str, str], *, drop: Iterable[str] = ()) -> DerivedView:
    """Features of features: name -> SQL over earlier features and columns known ahead.

    ``drop`` removes earlier features that were only needed on the way.
    """
    return DerivedView(name=name, columns=dict(columns), drop=tuple(drop))


def latest(
    name: str,
    *,
    dataset: str,
    keys: Keys,
    columns: Columns,
    known_at: str | None = None,
    before_event: str | None = None,
    before_prediction: str | None = None,
    max_age: str | None = None,
) -> LatestView:
    """The newest fact known at T: ``columns`` as a list are prefixed by the view's name.

    ``keys`` maps columns of the row to columns of the dataset (a list when they have one name).
    A dataset without a time is a reference table: its facts were always known.
    """
    _check_durations(name, before_event, before_prediction, max_age)
    return LatestView(
        name=name,
        dataset=dataset,
        keys=_pairs(keys),
        columns=_columns(name, columns),
        known_at=known_at,
        before_event=before_event,
        before_prediction=before_prediction,
        max_age=max_age,
    )


def rolling(
    name: str,
    *,
    dataset: str,
    keys: Keys,
    measures: Mapping[str, Measure],
    windows: Sequence[str],
    known_at: str | None = None,
    before_event: str | None = None,
    before_prediction: str | None = None,
    at_least: int = 1,
) -> RollingView:
    """Measures over what became known in each window: columns ``view_measure_window``.

    ``known_at`` is the dataset's column with the moment of knowledge, when it is not the
    dataset's own; a fact where it is null is never known. Means and shares over fewer than
    ``at_least`` facts are null. No keys: over all facts.
    """
    _check_durations(name, before_event, before_prediction, *windows)
    return RollingView(
        name=name,
        dataset=dataset,
        keys=_pairs(keys),
        measures=dict(measures),
        windows=tuple(windows),
        known_at=known_at,
        before_event=before_event,
        before_prediction=before_prediction,
        at_least=at_least,
    )


def pending(
    name: str,
    *,
    dataset: str,
    keys: Keys,
    since: str,
    until: str,
    where: str = "",
    measures: Sequence[Literal["count", "minutes"]] = ("count",),
) -> PendingView:
    """What has begun and not ended by T: columns ``view_count`` and ``view_minutes``."""
    return PendingView(
        name=name,
        dataset=dataset,
        keys=_pairs(keys),
        since=since,
        until=until,
        where=where,
        measures=tuple(measures),
    )


def planned(
    name: str,
    *,
    keys: Keys,
    measures: Mapping[str, Measure],
    before: str,
    after: str = "0s",
) -> PlannedView:
    """Measures over rows planned around this one, by their event times: ``view_measure``."""
    _check_durations(name, before, after)
    return PlannedView(
        name=name, keys=_pairs(keys), measures=dict(measures), before=before, after=after
    )


def mean(sql: str, *, where: str = "", decimals: int = 3) -> Measure:
    """The mean of an expression over the facts where it is not null."""
    return Measure(kind="mean", sql=sql, where=where, decimals=decimals)


def total(sql: str, *, where: str = "", decimals: int = 3) -> Measure:
    """The sum of an expression; 0 over no facts."""
    return Measure(kind="total", sql=sql, where=where, decimals=decimals)


def count(where: str = "") -> Measure:
    """The number of facts (for which a condition holds)."""
    return Measure(kind="count", where=where)


def share(sql: str, *, where: str = "") -> Measure:
    """The share of facts for which a condition holds, among those where it is not null."""
    return Measure(kind="share", sql=sql, where=where)


def highest(sql: str, *, where: str = "") -> Measure:
    """The greatest value of an expression."""
    return Measure(kind="highest", sql=sql, where=where)


def lowest(sql: str, *, where: str = "") -> Measure:
    """The least value of an expression."""
    return Measure(kind="lowest", sql=sql, where=where)


def _pairs(keys: Keys) -> dict[str, str]:
    return dict(keys) if isinstance(keys, Mapping) else {key: key for key in keys}


def _columns(name: str, columns: Columns) -> dict[str, str]:
    if isinstance(columns, Mapping):
        return dict(columns)
    return {f"{name}_{column}": '"' + column.replace('"', '""') + '"' for column in columns}


def _check_durations(name: str, *texts: str | None) -> None:
    for text in texts:
        if text is None:
            continue
        try:
            parse_duration(text)
        except Invalid as error:
            raise Invalid(
                "features.bad_duration",
                f"View {name!r}: {error.message}",
                hint=error.hint,
                view=name,
                text=text[:80],
            ) from error
