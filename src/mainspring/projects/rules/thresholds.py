"""Metrics with a floor or a ceiling: that they fit the task, point the right way, can be met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mainspring.core.document import Path
from mainspring.core.names import did_you_mean
from mainspring.problem.types import (
    HIGHER_IS_BETTER,
    METRIC_LIMITS,
    METRICS_OF_TASK,
    MetricName,
    Task,
)
from mainspring.projects.flaws import Flaw
from mainspring.projects.rules.common import contradiction


class Threshold(Protocol):
    """Anything with a floor or a ceiling."""

    @property
    def at_least(self) -> float | None: ...
    @property
    def at_most(self) -> float | None: ...


def check_metric(path: Path, metric: MetricName | None, task: Task) -> Iterator[Flaw]:
    """A flaw when the metric says nothing about the task."""
    known = METRICS_OF_TASK[task]
    if metric is not None and metric not in known:
        yield contradiction(
            path,
            f"The metric {metric!r} does not fit a {task} task.",
            did_you_mean("", known),
            ("problem", "task"),
        )


def check_threshold(path: Path, metric: MetricName, rule: Threshold) -> Iterator[Flaw]:
    """Flaws of a floor and a ceiling: both at once, the wrong way round, or out of reach."""
    if rule.at_least is not None and rule.at_most is not None:
        yield contradiction(
            (*path, "at_least"),
            f"{metric!r} has both a floor and a ceiling.",
            f"Keep {_right_key(metric)!r}.",
            (*path, "at_most"),
        )
        return
    key = "at_least" if rule.at_least is not None else "at_most"
    value = rule.at_least if rule.at_least is not None else rule.at_most
    if value is None:
        return
    if key != _right_key(metric):
        better = "higher" if HIGHER_IS_BETTER[metric] else "lower"
        yield Flaw(
            "project.wrong_direction",
            (*path, key),
            f"A {better} {metric!r} is better, so {key!r} would let the worst pass.",
            f"Use {_right_key(metric)!r}.",
        )
        return
    low, high = METRIC_LIMITS[metric]
    if not low <= value <= high:
        yield Flaw(
            "project.out_of_range",
            (*path, key),
            f"{metric!r} lies between {low:g} and {high:g}; {value:g} does not.",
        )


def needs_threshold(path: Path, metric: MetricName, rule: Threshold) -> Iterator[Flaw]:
    """A flaw when neither floor nor ceiling is given."""
    if rule.at_least is None and rule.at_most is None:
        yield Flaw(
            "project.missing_key",
            path,
            f"Says nothing about what {metric!r} must be.",
            f"Add {_right_key(metric)!r}.",
        )


def _right_key(metric: MetricName) -> str:
    return "at_least" if HIGHER_IS_BETTER[metric] else "at_most"
