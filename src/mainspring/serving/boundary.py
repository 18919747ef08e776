"""Rows at the edges of a model, where another form of it answers otherwise if it does at all.

A tree asks whether a value lies at or below a threshold; a form that keeps values in fewer bits
moves the values next to a threshold to its other side. So each input is set, in turn, to the values
around its thresholds, to extremes, to nothing, and to every category and one that is none, while
the rest of the row stays one that was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature

Array = NDArray[np.float64]

PER_INPUT: Final = 400
MOST_ROWS: Final = 20_000
# Steps in which values are counted: whole numbers, halves, cents, thousandths, seconds of a day.
_STEPS: Final = (3600.0, 60.0, 1.0, 0.5, 0.1, 0.01, 0.001, 0.0001)
_QUANTILES: Final = 50
_REFUSED_ROWS: Final = 64


def boundary_rows(
    sample: Array, signature: Signature, thresholds: Mapping[int, Array], *, seed: int = 0
) -> Array:
    """Rows of the sample with one input each at an edge, as the runtime takes rows.

    Without thresholds for an input, its quantiles stand in for them. The same arguments give the
    same rows. Shapes: (n, inputs) in, (m, inputs) out with m at most 20,000.
    """
    random = np.random.default_rng(seed)
    each = min(PER_INPUT, max(8, MOST_ROWS // max(1, len(signature.inputs))))
    parts: list[Array] = []
    for place, column in enumerate(signature.inputs):
        values = (
            np.arange(-1.0, len(column.categories))
            if column.type == "category"
            else number_edges(sample[:, place], thresholds.get(place))
        )
        if len(values) > each:
            values = values[np.sort(random.choice(len(values), each, replace=False))]
        rows = sample[random.integers(0, len(sample), len(values))].copy()
        rows[:, place] = values
        parts.append(rows)
    parts.append(_nothing(signature))
    return np.ascontiguousarray(np.concatenate(parts))


@dataclass(frozen=True, slots=True)
class Edges:
    """Boundary rows with the model's own answers, and some of those that it refuses to answer."""

    rows: Array
    answers: Array
    refused: Array


def answers_at(
    edges: Array, sample: Array, signature: Signature, ask: Callable[[Array], Array]
) -> Edges:
    """What the model itself says at the edges, as far as it takes such rows at all.

    Many models refuse a row without a number, a category they do not know, or a number beyond those
    they saw. The widest kind of rows that is answered is kept; the others are the refused ones.
    Errors: ``serving.not_packable`` when it answers none.
    """
    everything: NDArray[np.bool_] = np.ones(len(edges), dtype=np.bool_)
    known, whole = _known(edges, signature), _whole(edges, signature)
    both = known & whole
    inside = both & _inside(edges, sample, signature)
    kinds: tuple[NDArray[np.bool_], ...] = (everything, known, whole, both, inside)
    for kept in kinds:
        try:
            answers = ask(edges[kept])
        except (ValueError, TypeError) as error:  # our own Invalid is a ValueError
            why = str(error).strip()
        else:
            return Edges(edges[kept], answers, _refused(edges[~kept], ask))
    raise cannot_answer(f"rows like those of its sample: {why}")


def _refused(rows: Array, ask: Callable[[Array], Array]) -> Array:
    """Those of the rows, or of some spread over them, that the model refuses one by one."""
    places = np.unique(np.linspace(0, len(rows) - 1, _REFUSED_ROWS).astype(np.intp))
    alone = [rows[place : place + 1] for place in places.tolist()] if len(rows) else []
    refused = [row for row in alone if not _is_answered(row, ask)]
    return np.concatenate(refused) if refused else rows[:0]


def _is_answered(row: Array, ask: Callable[[Array], Array]) -> bool:
    try:
        ask(row)
    except (ValueError, TypeError):
        return False
    return True


def cannot_answer(what: str) -> Invalid:
    """The error for a model that refuses the rows it is to be compared by."""
    return Invalid(
        "serving.not_packable",
        f"The model does not answer {what.splitlines()[0][:300].rstrip('.')}.",
        hint="Give the sample the inputs in the order and types that the model was trained on, "
        "without missing values unless it knows them.",
    )


def _known(rows: Array, signature: Signature) -> NDArray[np.bool_]:
    """Which rows hold known categories only."""
    places = [place for place, one in enumerate(signature.inputs) if one.type == "category"]
    known: NDArray[np.bool_] = np.all(rows[:, places] >= 0, axis=1)
    return known


def _whole(rows: Array, signature: Signature) -> NDArray[np.bool_]:
    """Which rows lack no number."""
    places = [place for place, one in enumerate(signature.inputs) if one.type == "number"]
    whole: NDArray[np.bool_] = np.all(~np.isnan(rows[:, places]), axis=1)
    return whole


def _inside(rows: Array, sample: Array, signature: Signature) -> NDArray[np.bool_]:
    """Which rows hold no number beyond those of the sample."""
    inside: NDArray[np.bool_] = np.ones(len(rows), dtype=np.bool_)
    for place, one in enumerate(signature.inputs):
        seen = sample[np.isfinite(sample[:, place]), place]
        if one.type == "number" and len(seen):
            outside = (rows[:, place] < seen.min()) | (rows[:, place] > seen.max())
            inside[outside] = False
    return inside


def number_edges(seen: Array, thresholds: Array | None) -> Array:
    """The values around each threshold, beyond the range, zero, and nothing.

    Around a threshold are the nearest values that were seen on either side and, when the values
    are counted in steps (cents, seconds), the nearest such values that were not. Values closer
    together than a step do not occur, and are no ground to refuse a form.
    """
    known = np.unique(seen[np.isfinite(seen)])
    if not len(known):
        return np.array([np.nan, 0.0, 1.0, -1.0])
    at = np.unique(np.quantile(known, np.linspace(0, 1, _QUANTILES)))
    if thresholds is not None:
        inside = thresholds[(thresholds >= known[0]) & (thresholds <= known[-1])]
        at = inside if len(inside) else at
    places = np.searchsorted(known, at)
    around = [known[np.clip(places - 1, 0, None)], known[np.clip(places, None, len(known) - 1)]]
    step = step_of(known)
    if step:
        around += [_counted(np.floor(at / step), step), _counted(np.ceil(at / step), step)]
    span = max(float(known[-1] - known[0]), abs(float(known[-1])), 1.0)
    beyond = [known[0], known[-1], known[0] - span, known[-1] + span, 0.0, -1.0, np.nan]
    return np.unique(np.concatenate([*around, np.array(beyond)]))


def step_of(values: Array) -> float:
    """The widest step that all values are whole numbers of; 0 when there is none."""
    for step in _STEPS:
        counted = values / step
        if np.all(
            np.abs(counted - np.round(counted)) < 1e-6 * np.maximum(1.0, np.abs(counted) * 1e-6)
        ):
            return step
    return 0.0


def _counted(count: Array, step: float) -> Array:
    """So many steps, as the number that is written: 41 cents are 0.41, not 41 times 0.01."""
    return count * step if step >= 1 else count / round(1 / step)


def _nothing(signature: Signature) -> Array:
    """One row of which nothing is known."""
    row = [np.nan if one.type == "number" else -1.0 for one in signature.inputs]
    return np.array([row], dtype=np.float64)
