"""The conditions a version must meet: each says yes or no, with what it saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import numpy as np

from mainspring.core.errors import Invalid
from mainspring.problem.types import Guardrail, MetricName, Problem, Task
from mainspring.training.bootstrap import cluster_index, interval, resample, statistic_of
from mainspring.training.estimate import Estimate
from mainspring.training.evaluation import Evaluation, Judging, slices
from mainspring.training.metrics import checked, metric
from mainspring.training.table import TrainingTable
from mainspring.training.types import Gate
from mainspring.training.vectors import Counts, Vector

PRIMARY: dict[Task, MetricName] = {"binary": "auc", "regression": "mae"}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One gate's answer. ``observed`` is None when it could not be computed, which is a no."""

    gate: str
    passed: bool
    observed: float | None
    wanted: str
    reason: str


class Advantage(msgspec.Struct, frozen=True, kw_only=True):
    """How much better a model is than a reference on the same rows; positive is better."""

    over: str
    metric: MetricName
    difference: float
    low: float | None
    high: float | None


def primary_metric(problem: Problem) -> MetricName:
    """The metric that choices are made by: the first one the problem names."""
    return problem.metrics[0].name if problem.metrics else PRIMARY[problem.task]


def advantage(
    name: MetricName,
    over: str,
    labels: Vector,
    predictions: tuple[Vector, Vector],
    clusters: Counts,
    *,
    judging: tuple[Judging, Judging],
) -> Advantage:
    """Model minus reference on the same rows and the same bootstrap draws, turned to 'better'.

    ``predictions`` and ``judging`` hold the model's first, the reference's second.
    """
    measures = [one.measure(name) for one in judging]
    index, count = cluster_index(clusters, labels.size)
    pairs = [checked(m, labels, p) for m, p in zip(measures, predictions, strict=True)]
    sign = 1.0 if measures[0].higher_is_better else -1.0
    values = [metric(m, y, p) for m, (y, p) in zip(measures, pairs, strict=True)]
    if values[0] is None or values[1] is None:
        raise Invalid(
            "training.metric_undefined",
            f"The metric {name!r} is not defined on the test rows.",
            hint="Are both classes present there? Take a longer test stretch.",
            metric=name,
        )
    statistics = [
        statistic_of(m, y, p, index, count) for m, (y, p) in zip(measures, pairs, strict=True)
    ]
    draws = resample(statistics, count, draws=judging[0].draws, seed=judging[0].seed)
    low, high, _ = interval(sign * (draws[:, 0] - draws[:, 1]), count, judging[0].confidence)
    difference = sign * (values[0] - values[1])
    return Advantage(over=over, metric=name, difference=difference, low=low, high=high)


def metric_verdicts(
    problem: Problem, gates: Sequence[Gate], evaluation: Evaluation
) -> list[Verdict]:
    """The success metrics of the problem and the metric gates of the project."""
    wanted = [(f"problem.{m.name}", m.name, m.at_least, m.at_most) for m in problem.metrics]
    wanted += [(g.name, g.metric, g.at_least, g.at_most) for g in gates if g.metric and not g.beats]
    return [
        _bounds(gate, _value(evaluation.metrics, name), at_least, at_most)
        for gate, name, at_least, at_most in wanted
        if at_least is not None or at_most is not None
    ]


def beat_verdicts(
    problem: Problem, gates: Sequence[Gate], advantages: Mapping[tuple[str, str], Advantage]
) -> list[Verdict]:
    """The gates that ask for a proven advantage over a reference."""
    return [
        _beats(gate, advantages[gate.beats, gate.metric or primary_metric(problem)])
        for gate in gates
        if gate.beats
    ]


def guardrail_verdicts(
    guardrails: Sequence[Guardrail], table: TrainingTable, predictions: Vector, judging: Judging
) -> list[Verdict]:
    """One verdict per guardrail: its worst group of enough rows must hold."""
    return [_guardrail(rail, table, predictions, judging) for rail in guardrails]


def _guardrail(
    rail: Guardrail, table: TrainingTable, predictions: Vector, judging: Judging
) -> Verdict:
    quick = msgspec.structs.replace(judging, draws=1)
    found = slices(
        rail.metric,
        table.target,
        predictions,
        table.groups[rail.group],
        judging=quick,
        min_rows=rail.min_rows,
    )
    judged = {
        s.group: s.estimate.value for s in found if s.estimate and s.estimate.value is not None
    }
    name = f"guardrail.{rail.metric}.{rail.group}"
    if not judged:
        reason = f"No group of {rail.group} has {rail.min_rows} rows to judge."
        return Verdict(gate=name, passed=True, observed=None, wanted="", reason=reason)
    low_is_bad = rail.at_least is not None
    worst = min(judged, key=lambda g: judged[g] if low_is_bad else -judged[g])
    verdict = _bounds(name, judged[worst], rail.at_least, rail.at_most)
    reason = f"Worst of {len(judged)} groups is {rail.group} = {worst}: {verdict.reason}"
    return msgspec.structs.replace(verdict, reason=reason)


def _value(metrics: Mapping[str, Estimate], name: str | None) -> float | None:
    found = metrics.get(name) if name else None
    return found.value if found else None


def _bounds(gate: str, value: float | None, low: float | None, high: float | None) -> Verdict:
    wanted = " and ".join(
        part
        for part in (
            f"at least {low:g}" if low is not None else "",
            f"at most {high:g}" if high is not None else "",
        )
        if part
    )
    passed = value is not None and (low is None or value >= low) and (high is None or value <= high)
    shown = "nothing" if value is None else f"{value:.4g}"
    reason = f"{shown}, wanted {wanted}."
    return Verdict(gate=gate, passed=passed, observed=value, wanted=wanted, reason=reason)


def _beats(gate: Gate, found: Advantage) -> Verdict:
    low = found.low
    passed = low is not None and low > 0.0
    bounds = "no interval" if low is None else f"interval {low:+.4f} to {found.high:+.4f}"
    reason = f"{found.metric} better than the {found.over} by {found.difference:+.4f} ({bounds})."
    return Verdict(
        gate=gate.name,
        passed=passed,
        observed=found.difference,
        wanted=f"better than the {found.over}, interval above 0",
        reason=reason,
    )


def slice_report(
    columns: Sequence[str],
    table: TrainingTable,
    predictions: Vector,
    name: MetricName,
    judging: Judging,
) -> dict[str, list[dict[str, Any]]]:
    """The metric in each group of each slice column, largest group first."""
    clusters = None if table.predicted_at is None else table.predicted_at.astype("datetime64[D]")
    days = None if clusters is None else np.asarray(clusters).astype(np.int64)
    return {
        column: [
            cast("dict[str, Any]", msgspec.to_builtins(one))
            for one in slices(
                name,
                table.target,
                predictions,
                table.groups[column],
                judging=judging,
                clusters=days,
                min_rows=200,
            )
        ]
        for column in columns
        if column in table.groups
    }
