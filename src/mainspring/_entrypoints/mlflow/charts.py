"""What pages and comparisons ask for: many histories at once, and the datasets to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.mlflow.reading import body, missing, need, query
from mainspring._entrypoints.mlflow.routing import EXPERIMENTS_READ, RUNS_READ, both
from mainspring._entrypoints.mlflow.writing import Metric, answer, metric, without_empty
from mainspring.core.errors import Invalid
from mainspring.tracking import Tracking
from mainspring.tracking.charts import MAX_RUNS, MAX_STEPS
from mainspring.tracking.types import Point

MAX_POINTS = 25_000


class _Bulk(msgspec.Struct):
    run_id: list[str] | None = None
    run_ids: list[str] | None = None
    metric_key: str | None = None
    start_step: int | None = None
    end_step: int | None = None
    max_results: int | None = None


class _Datasets(msgspec.Struct):
    experiment_ids: list[str] | None = None


@dataclass(frozen=True, slots=True)
class ChartRoutes:
    """The handlers of ``metrics/get-history-bulk...`` and ``experiments/search-datasets``."""

    tracking: Tracking

    def routes(self) -> list[Route]:
        bulk = "/2.0/mlflow/metrics/get-history-bulk"
        datasets = "/2.0/mlflow/experiments/search-datasets"
        return [
            *both("GET", bulk, self.bulk, RUNS_READ),
            *both("GET", f"{bulk}-interval", self.interval, RUNS_READ),
            *both("POST", datasets, self.datasets, EXPERIMENTS_READ),
        ]

    def bulk(self, request: Request) -> Response:
        asked = query(request, _Bulk)
        run_ids, key = sorted(asked.run_id or ()), need(asked.metric_key, "metric_key")
        if not 1 <= len(run_ids) <= MAX_RUNS:
            raise Invalid("http.bad_limit", f"Between 1 and {MAX_RUNS} run_ids can be asked for.")
        limit = min(asked.max_results or MAX_POINTS, MAX_POINTS)
        found = [
            _of_run(point, run_id)
            for run_id in run_ids
            for point in self.tracking.runs.history(run_id, key, limit=limit).items
        ]
        return answer({"metrics": found[:limit]})

    def interval(self, request: Request) -> Response:
        asked = query(request, _Bulk)
        if not asked.run_ids:
            raise missing("run_ids")
        if (asked.start_step is None) != (asked.end_step is None):
            raise Invalid(
                "http.bad_query",
                "If either start step or end step are specified, both must be specified.",
            )
        span = None
        if asked.start_step is not None and asked.end_step is not None:
            span = (asked.start_step, asked.end_step)
        series = self.tracking.charts.series(
            asked.run_ids,
            need(asked.metric_key, "metric_key"),
            span=span,
            most_steps=MAX_STEPS if asked.max_results is None else asked.max_results,
        )
        found = [_of_run(point, run_id) for run_id, points in series.items() for point in points]
        return answer({"metrics": found} if found else {})

    def datasets(self, request: Request) -> Response:
        asked = body(request, _Datasets)
        found: list[dict[str, Any]] = [
            without_empty(
                {
                    "experiment_id": experiment_id,
                    "name": dataset.name,
                    "digest": dataset.digest,
                    "context": context,
                }
            )
            for experiment_id, dataset, context in self.tracking.charts.datasets(
                asked.experiment_ids or ()
            )
        ]
        return answer({"dataset_summaries": found} if found else {})


def _of_run(point: Point, run_id: str) -> Metric:
    found = metric(point)
    found.run_id = run_id
    return found
