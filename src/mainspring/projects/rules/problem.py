"""Rules of [problem]: what is predicted, when, from what, and what success means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mainspring.core.document import Path
from mainspring.data.types import Dataset
from mainspring.projects.flaws import Flaw
from mainspring.projects.rules.common import contradiction, duplicates, unknown_name
from mainspring.projects.rules.thresholds import check_metric, check_threshold, needs_threshold
from mainspring.projects.spec import ProjectFile

_AT: Final[Path] = ("problem",)
_SQL_TOKEN = re.compile(r"'(?:[^']|'')*'|\"([^\"]+)\"|([A-Za-z_][A-Za-z0-9_]*)(\s*\()?")
_SQL_WORDS: Final = frozenset(
    [
        "and",
        "or",
        "not",
        "is",
        "null",
        "in",
        "like",
        "between",
        "case",
        "when",
        "then",
        "else",
        "end",
        "true",
        "false",
        "as",
    ]
)


def dataset_of(spec: ProjectFile) -> Dataset | None:
    """The dataset whose rows are predicted, when the file has it."""
    return spec.datasets.get(spec.problem.dataset)


def dataset_exists(spec: ProjectFile) -> Iterator[Flaw]:
    """problem.dataset is one of the datasets."""
    if dataset_of(spec) is None:
        path, name = (*_AT, "dataset"), spec.problem.dataset
        yield unknown_name(path, "dataset", name, spec.datasets, ("datasets",))


def nothing_of_the_future_is_known_ahead(spec: ProjectFile) -> Iterator[Flaw]:
    """The target, and when it becomes known, are not among the columns known ahead."""
    dataset = dataset_of(spec)
    if dataset is None:
        return
    ahead = ("datasets", spec.problem.dataset, "known_ahead")
    for key in ("target", "label_known_at"):
        column = getattr(spec.problem, key)
        if column in dataset.known_ahead:
            yield contradiction(
                (*ahead, dataset.known_ahead.index(column)),
                f"{column!r} is not known when the prediction is made: it is the {key}.",
                f"Take {column!r} out of known_ahead.",
                (*_AT, key),
            )
    columns = _columns_in(spec.problem.target_sql or "")
    if columns and columns <= set(dataset.known_ahead):
        yield contradiction(
            (*_AT, "target_sql"),
            "The target follows from columns that are known ahead, so there is nothing to predict.",
            f"Take the outcome out of known_ahead: {', '.join(sorted(columns))}.",
            ahead,
        )


def _columns_in(sql: str) -> set[str]:
    """The names in an expression that are neither text, functions nor words of SQL."""
    found = _SQL_TOKEN.finditer(sql)
    names = {each[1] or ("" if each[3] else each[2]) or "" for each in found}
    return {name for name in names if name and name.lower() not in _SQL_WORDS}


def times_need_a_time(spec: ProjectFile) -> Iterator[Flaw]:
    """predict_before and label_delay count from the dataset's time, so it has one."""
    dataset = dataset_of(spec)
    if dataset is None or dataset.time is not None:
        return
    for key in ("predict_before", "label_delay"):
        if getattr(spec.problem, key) is not None:
            yield contradiction(
                (*_AT, key),
                f"{key} counts from the dataset's time, but the dataset names none.",
                "Add 'time', the column with the moment of each row, to the dataset.",
                ("datasets", spec.problem.dataset),
            )


def labels_become_known_once(spec: ProjectFile) -> Iterator[Flaw]:
    """The moment of the label is told in one way; and told, when something looks back on it."""
    known_at, delay = spec.problem.label_known_at, spec.problem.label_delay
    if known_at is not None and delay is not None:
        yield contradiction(
            (*_AT, "label_known_at"),
            "The moment when a label becomes known is told twice.",
            "Keep the column (label_known_at) when the data has it, else label_delay.",
            (*_AT, "label_delay"),
        )
    if known_at is None and delay is None:
        for path in _looking_back(spec):
            yield Flaw(
                "project.missing_key",
                _AT,
                "Says nothing about when a label becomes known, which past performance needs.",
                "Add label_known_at = 'column', or label_delay = '1d' ('0s' if at once).",
                (path,),
            )
            return


def _looking_back(spec: ProjectFile) -> Iterator[Path]:
    """The keys that make the system judge past predictions by their labels.

    Without a time, a label is known since the data that holds it came in, and none need be told.
    """
    if spec.replay is not None:
        yield ("replay",)
    dataset = spec.datasets.get(spec.problem.dataset)
    if dataset is not None and dataset.time is None:
        return
    for name, monitor in spec.monitoring.monitors.items():
        if monitor.watch in {"performance", "cost"}:
            yield ("monitoring", "monitors", name)
    if spec.retraining.every != "never":
        yield ("retraining", "every")


def metrics_fit(spec: ProjectFile) -> Iterator[Flaw]:
    """Success metrics fit the task, stand once, and have at most one reachable bound."""
    task = spec.problem.task
    path = (*_AT, "metrics")
    for index, metric in enumerate(spec.problem.metrics):
        yield from check_metric((*path, index, "name"), metric.name, task)
        yield from check_threshold((*path, index), metric.name, metric)
    yield from duplicates(path, [metric.name for metric in spec.problem.metrics], "metric")


def guardrails_fit(spec: ProjectFile) -> Iterator[Flaw]:
    """A guardrail fits the task, has one reachable bound, and groups by more than the target."""
    for index, rail in enumerate(spec.problem.guardrails):
        path = (*_AT, "guardrails", index)
        yield from check_metric((*path, "metric"), rail.metric, spec.problem.task)
        yield from check_threshold(path, rail.metric, rail)
        yield from needs_threshold(path, rail.metric, rail)
        if rail.group == spec.problem.target:
            yield contradiction(
                (*path, "group"), "Rows cannot be grouped by the target.", "", (*_AT, "target")
            )


def groups_are_columns_of_the_row(spec: ProjectFile) -> Iterator[Flaw]:
    """Groups and slices stand once, and none is the target."""
    for path, columns in (
        ((*_AT, "groups"), spec.problem.groups),
        (("training", "slices"), spec.training.slices),
    ):
        yield from duplicates(path, columns, "column")
        if spec.problem.target in columns:
            index = columns.index(spec.problem.target)
            yield contradiction(
                (*path, index), "Rows cannot be grouped by the target.", "", (*_AT, "target")
            )


def deciding_can_pay(spec: ProjectFile) -> Iterator[Flaw]:
    """Some decision costs less when it is right; else one answer is always best."""
    costs, path = spec.problem.costs, (*_AT, "costs")
    if spec.problem.task == "regression":
        if costs.under == 0 and costs.over == 0:
            yield contradiction(
                (*path, "under"),
                "No error costs anything, so every model is equally good.",
                "Give the cost per unit predicted too low, too high, or both.",
                (*path, "over"),
            )
        return
    for wrong, right, case in (
        ("false_negative", "true_positive", "acting on a real case"),
        ("false_positive", "true_negative", "leaving a harmless case alone"),
    ):
        if getattr(costs, wrong) <= getattr(costs, right):
            yield contradiction(
                (*path, wrong),
                f"Costs no more than {right}, so {case} never pays and no model can help.",
                f"A mistake ({wrong}) must cost more than being right ({right}).",
                (*path, right),
            )


RULES = (
    dataset_exists,
    nothing_of_the_future_is_known_ahead,
    times_need_a_time,
    labels_become_known_once,
    metrics_fit,
    guardrails_fit,
    groups_are_columns_of_the_row,
    deciding_can_pay,
)
