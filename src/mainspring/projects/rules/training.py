"""Rules of [training] and [[gates]]: learners, split, search and the conditions of release."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mainspring.core.document import Path
from mainspring.core.names import did_you_mean
from mainspring.problem.types import Task
from mainspring.projects.flaws import Flaw
from mainspring.projects.rules.common import contradiction, duplicates, not_zero
from mainspring.projects.rules.problem import dataset_of
from mainspring.projects.rules.thresholds import check_metric, check_threshold, needs_threshold
from mainspring.projects.spec import ProjectFile

_AT: Final[Path] = ("training",)
LEARNERS: Final[dict[str, tuple[Task, ...]]] = {
    "logistic": ("binary",),
    "linear": ("regression",),
    "gradient_boosting": ("binary", "regression"),
    "constant": ("binary", "regression"),
}
_FUNCTION = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z_][A-Za-z0-9_]*\.py:[A-Za-z_][A-Za-z0-9_]*")


def is_function(text: str) -> bool:
    """Whether a text names a function of the project: ``file.py:name`` inside its folder."""
    return _FUNCTION.fullmatch(text) is not None


def code_can_be_found(spec: ProjectFile) -> Iterator[Flaw]:
    """The feature set and the learners are named as built-ins or as 'file.py:name'."""
    if not is_function(spec.training.features):
        yield Flaw(
            "project.bad_value",
            (*_AT, "features"),
            f"{spec.training.features[:80]!r} does not name a feature set of the project.",
            "Write 'file.py:name', the file inside the project's folder.",
        )
    for key in ("learner", "baseline"):
        yield from _check_learner((*_AT, key), getattr(spec.training, key), spec.problem.task)


def _check_learner(path: Path, learner: str, task: Task) -> Iterator[Flaw]:
    if learner in LEARNERS:
        if task not in LEARNERS[learner]:
            fitting = [name for name, tasks in LEARNERS.items() if task in tasks]
            yield contradiction(
                path,
                f"The learner {learner!r} does not fit a {task} task.",
                did_you_mean("", fitting),
                ("problem", "task"),
            )
    elif not is_function(learner):
        yield Flaw(
            "project.unknown_name",
            path,
            f"There is no learner {learner[:80]!r}.",
            f"{did_you_mean(learner[:128], LEARNERS)} Or a function, as 'file.py:name'.",
        )


def rows_are_split_by_what_they_have(spec: ProjectFile) -> Iterator[Flaw]:
    """A split or resampling by time has a time; lengths of time belong to a split by time."""
    dataset, split = dataset_of(spec), spec.training.split
    if dataset is None:
        return
    table: Path = ("datasets", spec.problem.dataset)
    path: Path = (*_AT, "split")
    if dataset.time is None and split.method == "time":
        yield contradiction(
            (*path, "method"),
            "A split by time needs the moment of each row, but the dataset names none.",
            "Use 'hash', or add 'time' to the dataset.",
            table,
        )
    if dataset.time is None and spec.training.resample != "row":
        yield contradiction(
            (*_AT, "resample"),
            f"Rows without a time have no {spec.training.resample}.",
            "Use 'row', or add 'time' to the dataset.",
            table,
        )
    for key in ("validation", "test"):
        length = getattr(split, key)
        if length is None:
            continue
        yield from not_zero((*path, key), length)
        if split.method == "hash":
            yield contradiction(
                (*path, key),
                "A split by hash knows no lengths of time.",
                f"Use {key}_share.",
                (*path, "method"),
            )


def something_is_left_to_learn_from(spec: ProjectFile) -> Iterator[Flaw]:
    """Validation and test together leave rows for training."""
    split = spec.training.split
    if split.validation_share + split.test_share >= 1:
        yield contradiction(
            (*_AT, "split", "validation_share"),
            "Nothing is left to learn from.",
            "validation_share and test_share together must be below 1.",
            (*_AT, "split", "test_share"),
        )


def search_and_calibration_fit(spec: ProjectFile) -> Iterator[Flaw]:
    """The search metric fits the task, trials have a space, and only probabilities calibrate."""
    training, task = spec.training, spec.problem.task
    yield from check_metric((*_AT, "search", "metric"), training.search.metric, task)
    if training.search.trials > 0 and not training.search.space:
        yield contradiction(
            (*_AT, "search", "trials"),
            "There is nothing to search.",
            "Add [training.search.space]: parameter = [values].",
            (*_AT, "search"),
        )
    for name, values in training.search.space.items():
        if not values:
            yield Flaw(
                "project.out_of_range",
                (*_AT, "search", "space", name),
                "There is no value to try.",
                "List at least one.",
            )
    if training.calibration != "none" and task != "binary":
        yield contradiction(
            (*_AT, "calibration"),
            f"A {task} model gives no probability to calibrate.",
            "Use 'none'.",
            ("problem", "task"),
        )


def gates_can_decide(spec: ProjectFile) -> Iterator[Flaw]:
    """Each gate has a name of its own and either a bound on a metric or a reference to beat."""
    names = [gate.name for gate in spec.gates]
    for flaw in duplicates(("gates",), names, "gate"):
        yield Flaw(flaw.code, (*flaw.path, "name"), flaw.message, flaw.hint)
    for index, gate in enumerate(spec.gates):
        path: Path = ("gates", index)
        yield from check_metric((*path, "metric"), gate.metric, spec.problem.task)
        bounds = [key for key in ("at_least", "at_most") if getattr(gate, key) is not None]
        if gate.beats is not None and bounds:
            yield contradiction(
                (*path, "beats"),
                "A gate either beats a reference or keeps a bound.",
                "Make two gates of it.",
                (*path, bounds[0]),
            )
        elif gate.metric is not None:
            yield from check_threshold(path, gate.metric, gate)
            if gate.beats is None:
                yield from needs_threshold(path, gate.metric, gate)
        elif gate.beats is None:
            yield Flaw(
                "project.missing_key",
                path,
                "This gate has nothing to decide by.",
                "Give metric with at_least or at_most, or beats = 'baseline'.",
            )


RULES = (
    code_can_be_found,
    rows_are_split_by_what_they_have,
    something_is_left_to_learn_from,
    search_and_calibration_fit,
    gates_can_decide,
)
