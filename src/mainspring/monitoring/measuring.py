"""A window of an endpoint, measured: drift, quality and performance with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainspring.monitoring import live
from mainspring.monitoring.drift import ColumnDrift
from mainspring.monitoring.quality import QualityFinding
from mainspring.monitoring.reference import Measured, Reference, measure
from mainspring.monitoring.types import Monitoring
from mainspring.monitoring.watched import Watched
from mainspring.monitoring.windows import Broken, Drifted, Window
from mainspring.ports.tables import Frame, Tables
from mainspring.problem.types import Problem
from mainspring.training.bootstrap import bootstrap
from mainspring.training.estimate import Estimate
from mainspring.training.evaluation import METRICS, Judging


@dataclass(frozen=True, slots=True)
class Span:
    """What an endpoint answered in [start, end), as it is known now."""

    tables: Tables
    endpoint: str
    start: datetime
    end: datetime
    now: datetime


def measure_window(span: Span, watched: Watched, spec: Monitoring, problem: Problem) -> Window:
    """The window with everything that can be said of it."""
    frame = live.answered(
        span.tables,
        span.endpoint,
        span.start,
        span.end,
        now=span.now,
        signature=watched.signature,
    )
    labelled = live.known(frame)
    moved = _beside(watched.reference, frame, spec)
    return Window(
        endpoint=span.endpoint,
        start=span.start,
        end=span.end,
        model=watched.model,
        versions=tuple(sorted({int(v) for v in frame["version"]})),
        rows=len(labelled),
        labelled=int(labelled.sum()),
        label_total=float(frame["outcome"][labelled].astype(np.float64).sum()),
        metrics=_metrics(frame, labelled, frame["score"], watched, problem),
        references=_references(span, watched, problem),
        drift=tuple(_drifted(one) for one in moved.drift if one.judged),
        score_drift=_drifted(moved.score) if moved.score else None,
        quality=tuple(_broken(one) for one in moved.quality if one.broken),
    )


def _references(span: Span, watched: Watched, problem: Problem) -> dict[str, dict[str, Estimate]]:
    found = {}
    for version in watched.compare_with:
        rows = live.paired(
            span.tables, span.endpoint, (version, version), span.start, span.end, now=span.now
        )
        everything = np.ones(len(rows["outcome"]), dtype=bool)
        whole = {**rows, "version": np.full(len(everything), version, dtype=object)}
        found[version] = _metrics(whole, everything, rows["first"], watched, problem)
    return found


def _beside(reference: Reference | None, frame: Frame, spec: Monitoring) -> Measured:
    if reference is None or not len(frame["score"]):
        return Measured([], None, [])
    least = min((m.min_rows for m in spec.monitors.values()), default=300)
    return measure(reference, frame, frame["score"], effect=0.1, significance=0.01, min_rows=least)


def _broken(one: QualityFinding) -> Broken:
    return Broken(
        name=one.column,
        check=one.check,
        observed=one.ratio,
        expected=one.reference_ratio,
        significance=one.q_value,
    )


def _drifted(one: ColumnDrift) -> Drifted:
    return Drifted(
        name=one.column,
        effect=one.effect,
        significance=one.q_value,
        rows=one.n_current,
        moved=one.drifted,
    )


def _metrics(
    frame: Frame, rows: NDArray[np.bool_], scores: NDArray[Any], watched: Watched, problem: Problem
) -> dict[str, Estimate]:
    """Every metric of the task on the labelled rows, with an interval over days (or rows).

    Costs are those of the decisions taken, each version deciding by its own threshold: the score
    is shifted so that one threshold serves them all.
    """
    if not rows.any():
        return {}
    labels = frame["outcome"][rows].astype(np.float64)
    predicted = scores[rows].astype(np.float64)
    days = frame["event_time"][rows].astype("datetime64[D]").astype(np.int64)
    drawn = np.arange(len(days), dtype=np.int64) if watched.by_row else days
    judging = Judging(task=problem.task, costs=problem.costs)
    found: dict[str, Estimate] = {}
    for name in METRICS[problem.task]:
        used = predicted
        if name == "cost_per_1000" and problem.task == "binary":
            cuts = np.array([watched.thresholds.get(str(v), 0.5) for v in frame["version"][rows]])
            used = (predicted >= cuts).astype(np.float64)
        found[name] = bootstrap(
            judging.measure(name), labels, used, drawn, draws=100, confidence=0.9
        )
    return found
