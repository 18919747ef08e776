"""Features as a project defines them in Python: views over rows and over what was known by then.

A *row* is what is predicted; its *prediction time* T is its event time less the problem's
``predict_before``. A *fact* is a row of any dataset, known from its knowledge time on. Every view
gives one value per row and column, made of nothing but what was known at T; what is not known is
null.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.core.digest import Digest, digest_of

MeasureKind = Literal["mean", "total", "count", "share", "highest", "lowest"]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """What to compute over the facts of a window.

    ``sql`` is an expression over one fact. Sums are taken over whole units of 10**-``decimals``,
    so no result depends on the order of the facts.
    """

    kind: MeasureKind
    sql: str = ""
    where: str = ""
    decimals: int = 3


class RowView(msgspec.Struct, frozen=True, kw_only=True, tag="row"):
    """Expressions over the columns of the row itself that are known ahead."""

    name: str
    columns: dict[str, str]


class DerivedView(msgspec.Struct, frozen=True, kw_only=True, tag="derived"):
    """Expressions over the features of the views before it and the columns known ahead."""

    name: str
    columns: dict[str, str]
    drop: tuple[str, ...] = ()


class LatestView(msgspec.Struct, frozen=True, kw_only=True, tag="latest"):
    """The newest fact with the same key that was known at T.

    ``before_event`` and ``before_prediction`` bound the fact's own time: at least so long before
    the row's event time, or before T. ``max_age`` is T less the fact's time.
    """

    name: str
    dataset: str
    keys: dict[str, str]
    columns: dict[str, str]
    known_at: str | None = None
    before_event: str | None = None
    before_prediction: str | None = None
    max_age: str | None = None


class RollingView(msgspec.Struct, frozen=True, kw_only=True, tag="rolling"):
    """Measures over the facts with the same key that became known in (T - window, T].

    ``before_event`` and ``before_prediction`` move the end of the window back.
    """

    name: str
    dataset: str
    keys: dict[str, str]
    measures: dict[str, Measure]
    windows: tuple[str, ...]
    known_at: str | None = None
    before_event: str | None = None
    before_prediction: str | None = None
    at_least: int = 1


class PendingView(msgspec.Struct, frozen=True, kw_only=True, tag="pending"):
    """The facts with the same key that began by T and had not ended by T.

    ``count`` is how many they are, ``minutes`` how long all of them have lasted by T.
    """

    name: str
    dataset: str
    keys: dict[str, str]
    since: str
    until: str
    where: str = ""
    measures: tuple[Literal["count", "minutes"], ...] = ("count",)


class PlannedView(msgspec.Struct, frozen=True, kw_only=True, tag="planned"):
    """Measures over the rows planned around the row's own event time, from before to after it.

    It reads the columns that are known ahead, of rows of the problem's dataset with the same key,
    whether or not they have happened: the plan is known.
    """

    name: str
    keys: dict[str, str]
    measures: dict[str, Measure]
    before: str
    after: str = "0s"


View = RowView | DerivedView | LatestView | RollingView | PendingView | PlannedView


class FeatureSet(msgspec.Struct, frozen=True, kw_only=True):
    """Views in order, and which of their columns are categories; all others are numbers."""

    views: tuple[View, ...]
    categories: tuple[str, ...] = ()
    name: str = "features"

    @property
    def digest(self) -> Digest:
        """The digest of the definition."""
        return digest_of(self)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets whose facts the views read, each once."""
        found = (getattr(view, "dataset", None) for view in self.views)
        return tuple(dict.fromkeys(name for name in found if name))


class FeatureColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a built feature table, and the view it came from."""

    name: str
    type: Literal["number", "category"]
    view: str
    dataset: str | None = None
