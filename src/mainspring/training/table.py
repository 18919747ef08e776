"""What a model is trained from: inputs, target, and the moments that say what may be used when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainspring.core.durations import parse_duration
from mainspring.ports.tables import Frame
from mainspring.training.bootstrap import clusters_of
from mainspring.training.splits import Split as Parts
from mainspring.training.splits import Times, split_by_hash, split_by_time
from mainspring.training.types import Split, Training
from mainspring.training.vectors import Counts, Vector

DEFAULT_SHARE = 0.15  # of the time spanned, for a stretch that the project does not name
USUAL_WAIT = 0.95  # the quantile of label delays that such a stretch is lengthened by


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Rows with their target.

    Shapes: every array has one length n. ``target`` is float64, NaN while unknown; ``keys`` names
    a row; ``predicted_at`` and ``known_at`` are datetime64[us] or None when the data has no time.
    """

    inputs: Frame
    target: Vector
    keys: NDArray[Any]
    predicted_at: NDArray[np.datetime64] | None
    known_at: NDArray[np.datetime64] | None
    groups: Frame
    categorical: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[Any]) -> TrainingTable:
        """The table of some of its rows (positions or flags)."""
        return TrainingTable(
            inputs={name: values[rows] for name, values in self.inputs.items()},
            target=self.target[rows],
            keys=self.keys[rows],
            predicted_at=None if self.predicted_at is None else self.predicted_at[rows],
            known_at=None if self.known_at is None else self.known_at[rows],
            groups={name: values[rows] for name, values in self.groups.items()},
            categorical=self.categorical,
        )

    def clusters(self, spec: Training) -> Counts:
        """What the bootstrap draws: each row's day or week, or the row itself."""
        if self.predicted_at is None or spec.resample == "row":
            return np.arange(len(self), dtype=np.int64)
        return clusters_of(self.predicted_at, spec.resample)


def labelled(table: TrainingTable, until: datetime | None) -> TrainingTable:
    """The rows whose label is known (by ``until``)."""
    known = ~np.isnan(table.target)
    if until is not None and table.known_at is not None and table.predicted_at is not None:
        moment = np.datetime64(until.replace(tzinfo=None), "us")
        known &= (table.known_at <= moment) & (table.predicted_at < moment)
    return table.take(known)


def split(
    table: TrainingTable,
    spec: Split,
    *,
    until: datetime | None = None,
    holdout: timedelta | None = None,
) -> Parts:
    """The parts of a table whose rows are all labelled.

    With a ``holdout`` only that newest stretch is held back, as the test; nothing is left to
    choose, so no row is spent on a validation part.
    """
    if spec.method == "hash" or table.predicted_at is None or table.known_at is None:
        return split_by_hash(
            table.keys, validation_share=spec.validation_share, test_share=spec.test_share
        )
    share, delay = _default_stretch(table.predicted_at, table.known_at)
    validation = parse_duration(spec.validation) if spec.validation else share + delay
    # Without a moment of judging, every label there is counts as known: the test loses none.
    test = parse_duration(spec.test) if spec.test else share + delay * (until is not None)
    return split_by_time(
        table.predicted_at,
        table.known_at,
        validation=validation if holdout is None else timedelta(0),
        test=test if holdout is None else holdout,
        until=until,
    )


def _default_stretch(predicted: Times, known: Times) -> tuple[timedelta, timedelta]:
    """A share of the time spanned, and what nearly all labels take to become known.

    A stretch loses its newest rows to the embargo; one that is longer by the delay keeps its share.
    """
    span = timedelta(microseconds=int(np.ptp(predicted.astype(np.int64))))
    waits = (known - predicted).astype("timedelta64[us]").astype(np.int64)
    delay = timedelta(microseconds=max(0, int(np.quantile(waits, USUAL_WAIT))))
    return timedelta(days=max(1, round(span.days * DEFAULT_SHARE))), delay
