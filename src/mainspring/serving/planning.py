"""The plan of execution: each form of a model is replayed against the model itself.

The first good one is taken, and what was seen is written down.

Conversion is an optimisation behind a gate. A form in 32 bits answers otherwise where numbers are
large and fine (money, timestamps); it is refused with the rows it moved, and the next form is tried.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mainspring.core.errors import Invalid, MainspringError
from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan, Trial
from mainspring.serving.ports import Form, Loaded, Runtime
from mainspring.serving.unsafe import refuse_unsafe

Array = NDArray[np.float64]

PROBABILITY_TOLERANCE: Final = 1e-6
# For amounts: this share of the spread of the answers, since they come in any unit.
VALUE_TOLERANCE: Final = 1e-6
_TIMED_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Replay:
    """Rows as a runtime takes them, and what the model itself answered for them.

    The first ``sample_rows`` are sample rows, the others boundary rows. ``threshold`` is that of
    the decision, where there is one. ``refused``: rows that the model itself does not answer.
    """

    rows: Array
    answers: Array
    sample_rows: int
    tolerance: float
    threshold: float | None = None
    refused: Array | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The form that was taken, its files, and the plan with the evidence."""

    form: Form
    files: Mapping[str, bytes]
    plan: Plan


def default_tolerance(answers: Array, signature: Signature) -> float:
    """How far a form may be off, absolutely, where nobody said."""
    if signature.output == "probability":
        return PROBABILITY_TOLERANCE
    known = answers[np.isfinite(answers)]
    spread = float(np.std(known)) if len(known) else 0.0
    with np.errstate(over="ignore"):
        short = np.array_equal(known, known.astype(np.float32))
    if short:
        # The model itself counts in 32 bits: its last ones change with the number of rows it is
        # asked together, and are no evidence.
        spread = float(np.max(np.abs(known), initial=spread))
    return VALUE_TOLERANCE * max(spread, float(np.finfo(np.float32).tiny))


def choose(
    forms: Sequence[Form], replay: Replay, signature: Signature, runtimes: Mapping[str, Runtime]
) -> Chosen:
    """The first form that answers as the model does.

    Errors: ``serving.not_faithful`` when none does, with what was wrong with each.
    """
    tried: list[Trial] = []
    for form in forms:
        trial, files = _try(form, replay, signature, runtimes)
        tried.append(trial)
        if trial.accepted:
            plan = Plan(
                way=form.way,
                why=_why(tried),
                tolerance=replay.tolerance,
                tried=tuple(tried),
                trusted=form.trusted,
            )
            return Chosen(form, files, plan)
    raise Invalid(
        "serving.not_faithful",
        "No form of this model that can be kept answers as the model itself does: "
        + "; ".join(f"{one.way} ({one.runtime}): {one.why}" for one in tried)
        + ".",
        hint="Give the sample the inputs in the order and types that the model was trained on.",
        tried=[f"{one.way}: {one.why}" for one in tried],
    )


def judge(trial: Trial, answers: Array, replay: Replay) -> Trial:
    """The trial with its verdict: how far the answers are from the model's own."""
    if answers.shape != replay.answers.shape:
        return replace(trial, why=f"it answers with {answers.shape} numbers")
    # No answer (to a row without a value) is the same as no answer, and infinite as infinite.
    same = (answers == replay.answers) | (np.isnan(answers) & np.isnan(replay.answers))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(answers - replay.answers))
    off = ~(gap <= replay.tolerance)  # NaN on one side alone is off
    flips = 0
    if replay.threshold is not None:
        flips = int(((answers >= replay.threshold) != (replay.answers >= replay.threshold)).sum())
    largest = float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0))
    rows = int(off.sum())
    why = f"largest difference {largest:.3g} on {len(gap)} rows"
    if rows or flips:
        why = (
            f"{rows} of {len(gap)} rows are off by more than {replay.tolerance:.3g} "
            f"(largest {largest:.3g}), {flips} decisions differ"
        )
    return replace(
        trial,
        accepted=not (rows or flips),
        why=why,
        largest_difference=largest if np.isfinite(largest) else None,
        rows_off=rows,
        flips=flips,
    )


def timed(loaded: Loaded, rows: Array) -> tuple[float, float]:
    """Microseconds for one row alone, and for a thousand rows together (medians)."""
    many = np.ascontiguousarray(rows[np.arange(_TIMED_ROWS) % len(rows)])
    return _median(loaded, many[:1], 50), _median(loaded, many, 5)


def _median(loaded: Loaded, rows: Array, runs: int) -> float:
    took: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        loaded.predict(rows)
        took.append(time.perf_counter() - start)
    return round(float(np.median(took)) * 1e6, 1)


def _try(
    form: Form, replay: Replay, signature: Signature, runtimes: Mapping[str, Runtime]
) -> tuple[Trial, Mapping[str, bytes]]:
    trial = Trial(
        way=form.way,
        runtime=form.runtime,
        accepted=False,
        why="",
        sample_rows=replay.sample_rows,
        boundary_rows=len(replay.rows) - replay.sample_rows,
    )
    plan = Plan(way=form.way, why="", tolerance=replay.tolerance, trusted=form.trusted)
    try:
        files = form.files()
        refuse_unsafe(files)
        loaded = runtimes[form.runtime].load(files, signature, plan)
        answers = loaded.predict(replay.rows)
    except MainspringError as error:
        what = error.message.rstrip(".")
        if error.code == "serving.untrusted_types":  # what to do about it is worth telling
            what = f"{what}. {error.hint.rstrip('.')}"
        return replace(trial, why=what), {}
    trial = judge(trial, answers, replay)
    if trial.accepted and replay.refused is not None:
        trial = _judge_refusals(trial, loaded, replay.refused)
    if not trial.accepted:
        return trial, {}
    row, batch = timed(loaded, replay.rows[: replay.sample_rows])
    return replace(trial, row_microseconds=row, batch_microseconds=batch), files


def _judge_refusals(trial: Trial, loaded: Loaded, refused: Array) -> Trial:
    """The trial, refused when the form answers what the model itself does not."""
    answered = sum(_answers(loaded, refused[row : row + 1]) for row in range(len(refused)))
    if not answered:
        return trial
    why = f"it answers {answered} of {len(refused)} rows that the model itself refuses to answer"
    return replace(trial, accepted=False, why=why)


def _answers(loaded: Loaded, row: Array) -> bool:
    try:
        return bool(np.isfinite(loaded.predict(row)).all())
    except MainspringError:
        return False


def _why(tried: Sequence[Trial]) -> str:
    taken, refused = tried[-1], tried[:-1]
    story = [f"{one.way} refused: {one.why}" for one in refused]
    return "; ".join([*story, f"{taken.way} taken: {taken.why}"])
