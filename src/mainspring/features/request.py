"""What a build of features is asked for, in plain values: the rows' side and the facts' side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mainspring.core.durations import parse_duration
from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.core.schema import Schema
from mainspring.data import Dataset
from mainspring.data.sql import quoted
from mainspring.problem.types import Problem

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Side:
    """A dataset as the engine needs it: its specification and the columns it is stored with."""

    name: str
    spec: Dataset
    schema: Schema

    def require(self, column: str, view: str) -> str:
        """The column as SQL, once it is known to be there.

        Errors: ``features.unknown_column``.
        """
        if column not in self.schema.names:
            raise Invalid(
                "features.unknown_column",
                f"View {view!r}: the dataset {self.name!r} has no column {column!r}.",
                hint=did_you_mean(column, self.schema.names),
                view=view,
                column=column,
            )
        return quoted(column)


@dataclass(frozen=True, slots=True)
class Request:
    """Everything a build needs to know beside the facts themselves."""

    problem: Problem
    rows: Side
    facts: dict[str, Side]

    @property
    def before_micros(self) -> int:
        """How long before its event time a row is predicted."""
        return micros(self.problem.predict_before)

    @property
    def known_ahead(self) -> tuple[str, ...]:
        """The columns of a row that its features may read.

        Without a time there is no future; then it is every column but the target and its moment.
        """
        spec, problem = self.rows.spec, self.problem
        if spec.time is None and not spec.known_ahead:
            hidden = {problem.target, problem.label_known_at}
            return tuple(name for name in self.rows.schema.names if name not in hidden)
        named = (*spec.key, *filter(None, (spec.time,)), *spec.known_ahead)
        return tuple(name for name in self.rows.schema.names if name in named)


def micros(text: str | None) -> int:
    """A length of time in whole microseconds; none is zero."""
    return parse_duration(text) // MICROSECOND if text else 0


def end_shift(before_event: str | None, before_prediction: str | None, before_micros: int) -> int:
    """By how many microseconds before T a fact must have been there; negative means after T.

    A row's event time is T plus ``before_micros``, so a bound on it is a bound on T.
    """
    shifts = []
    if before_event is not None:
        shifts.append(micros(before_event) - before_micros)
    if before_prediction is not None:
        shifts.append(micros(before_prediction))
    return max(shifts, default=0)
