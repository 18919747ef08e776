"""Which rows a model may learn from, which choose it and which judge it.

By time, with an embargo on what the label was known::

      train          embargo  | validation   embargo | test
      ...............xxxxxxxxx|..............xxxxxxxxx|...............
                              ^ validation_from       ^ test_from     ^ until

A row may be learned from only if its label was known before the first prediction of the next
stretch: on the morning of ``validation_from`` nobody knew how yesterday's open orders ended.
Random splits of such data overstate a model by far, since rows of one hour share their causes.

Source: Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 7 (purging and
embargo); here by the recorded moment of knowledge instead of a guessed gap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from msgspec import Struct, convert
from numpy.typing import NDArray

from mainspring.core.errors import Invalid
from mainspring.training.vectors import Counts, Flags, same_length

Times = NDArray[np.datetime64]


class SplitSummary(Struct, frozen=True, kw_only=True):
    """How many rows fell where, and (by time) the boundaries. Units: UTC."""

    train: int
    validation: int
    test: int
    embargoed: int
    unlabelled: int
    validation_from: datetime | None = None
    test_from: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Row positions of each part, in row order; ``embargoed`` and ``unlabelled`` are in none."""

    train: Counts
    validation: Counts
    test: Counts
    embargoed: Counts
    unlabelled: Counts
    summary: SplitSummary


def split_by_time(
    predicted_at: Times,
    known_at: Times,
    *,
    validation: timedelta,
    test: timedelta,
    until: datetime | None = None,
) -> Split:
    """The newest ``test``, before it ``validation``, and every older row for training.

    ``predicted_at`` is when each row's prediction is (to be) made, ``known_at`` when its label
    became known (NaT: not yet). Rows predicted at or after ``until``, and rows whose label was
    not known by then, count as unlabelled. Without ``until`` every label that exists is known.
    ``timedelta(0)`` leaves a stretch out.

    Errors: ``training.missing_time``, ``training.split_empty``, ``training.bad_stretch``.
    """
    predicted, known = _microseconds("prediction times", predicted_at), _known(known_at)
    same_length("moments of knowledge", known.size, predicted.size)
    if min(validation, test) < timedelta(0):
        raise Invalid(
            "training.bad_stretch",
            "A stretch of time cannot be negative.",
            hint="Give 'validation' and 'test' as lengths such as '28d'.",
        )
    end = predicted.max() + np.timedelta64(1, "us") if until is None else _moment(until)
    test_from = end - np.timedelta64(test)
    validation_from = test_from - np.timedelta64(validation)
    labelled = ~np.isnat(known) & (predicted < end)
    if until is not None:
        labelled &= known <= end
    in_test = labelled & (predicted >= test_from)
    in_validation = labelled & (predicted >= validation_from) & (predicted < test_from)
    older = labelled & (predicted < validation_from)
    parts = {
        "train": older & (known < validation_from),
        "validation": in_validation & ((known < test_from) | (test == timedelta(0))),
        "test": in_test,
    }
    wanted = {"train": True, "validation": bool(validation), "test": bool(test)}
    return _split(
        parts,
        labelled,
        wanted,
        validation_from=_datetime(validation_from) if validation else None,
        test_from=_datetime(test_from) if test else None,
        until=_datetime(end),
    )


def split_by_hash(
    keys: Iterable[object], *, validation_share: float, test_share: float, salt: str = ""
) -> Split:
    """Every row by a hash of its key, so it keeps its part when other rows come or go.

    Rows of one key stay together. A larger ``test_share`` only adds rows to the test part.

    Errors: ``training.bad_share``, ``training.split_empty``.
    """
    if min(validation_share, test_share) < 0.0 or validation_share + test_share >= 1.0:
        raise Invalid(
            "training.bad_share",
            f"Shares of {validation_share:g} and {test_share:g} leave nothing to learn from.",
            hint="Let them add up to less than 1.",
            validation_share=validation_share,
            test_share=test_share,
        )
    places = np.array([_place(key, salt) for key in keys], dtype=np.float64)
    in_test = places < test_share
    in_validation = ~in_test & (places < test_share + validation_share)
    parts = {"train": ~in_test & ~in_validation, "validation": in_validation, "test": in_test}
    wanted = {"train": True, "validation": validation_share > 0, "test": test_share > 0}
    return _split(parts, np.ones(places.size, dtype=np.bool_), wanted)


def _place(key: object, salt: str) -> float:
    """A number in [0, 1) that depends on key and salt alone, on every machine and version."""
    text = f"{salt}\x1f{key}".encode()
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def _split(
    parts: dict[str, Flags], labelled: Flags, wanted: dict[str, bool], **moments: datetime | None
) -> Split:
    for name, needed in wanted.items():
        if needed and not bool(parts[name].any()):
            raise Invalid(
                "training.split_empty",
                f"No row is left for the {name} part.",
                hint="Shorten the stretches, or bring older rows; see the embargo in the guide.",
                part=name,
                rows=int(labelled.size),
                labelled=int(np.count_nonzero(labelled)),
            )
    used = parts["train"] | parts["validation"] | parts["test"]
    places = {name: np.flatnonzero(flags) for name, flags in parts.items()}
    places["embargoed"] = np.flatnonzero(labelled & ~used)
    places["unlabelled"] = np.flatnonzero(~labelled)
    counts = {name: int(rows.size) for name, rows in places.items()}
    return Split(**places, summary=convert({**counts, **moments}, SplitSummary))


def _known(times: Times) -> Times:
    return np.asarray(times).astype("datetime64[us]")


def _microseconds(what: str, times: Times) -> Times:
    moments = _known(times)
    if moments.size == 0 or bool(np.isnat(moments).any()):
        raise Invalid(
            "training.missing_time",
            f"There are no {what}, or one is missing.",
            hint="A split by time needs a time in every row; else use the method 'hash'.",
        )
    return moments


def _moment(moment: datetime) -> Any:
    """The aware time as numpy's (which knows no zone and means UTC)."""
    if moment.tzinfo is None:
        raise Invalid(
            "training.naive_time", "The time carries no zone.", hint="Pass an aware UTC time."
        )
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _datetime(moment: Any) -> datetime:
    plain: datetime = moment.astype("datetime64[us]").item()
    return plain.replace(tzinfo=UTC)
