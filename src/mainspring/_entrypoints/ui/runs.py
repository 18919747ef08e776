"""The page of one run, the page of one of its metrics, and the series that charts ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mainspring._entrypoints._http import Request, Response, Route, json_response
from mainspring._entrypoints.ui.artifacts import list_folder
from mainspring._entrypoints.ui.lineage import lineage_of
from mainspring._entrypoints.ui.rendering import READ_RUNS, one, page
from mainspring.core.errors import Invalid
from mainspring.core.events import ref
from mainspring.core.pages import Page
from mainspring.governance.service import Record
from mainspring.registry import Clause, Query, Registry
from mainspring.tracking import Point, Run, Tracking
from mainspring.tracking.nesting import PARENT_TAG, inside, parent_of
from mainspring.tracking.types import LOST_TAG

MAX_STEPS: Final = 600
MAX_CHARTS: Final = 48
MAX_LISTED: Final = 200
_VERSIONS: Final = 20
_TRACES: Final = 10
_INSIDE_METRICS: Final = 4
MACHINE: Final = "system/"
_OWN_TAGS: Final = ("mlflow.runName", "mlflow.user", "mlflow.note.content", PARENT_TAG)


def by_name(points: Sequence[Point]) -> list[Point]:
    """Metrics by name, those of the machine last."""
    return sorted(points, key=lambda point: (point.key.startswith(MACHINE), point.key))


def aligned(series: dict[str, list[Point]]) -> tuple[list[int], dict[str, list[float | None]]]:
    """Series over one common list of steps: of each step the last value, None where there is none.

    NaN is None too: a chart has no place for it.
    """
    steps = sorted({point.step for points in series.values() for point in points})
    columns: dict[str, list[float | None]] = {}
    for run_id, points in series.items():
        last = {point.step: point.value for point in points}
        values = [last.get(step) for step in steps]
        columns[run_id] = [value if value == value else None for value in values]  # noqa: PLR0124
    return steps, columns


@dataclass(frozen=True, slots=True)
class RunPages:
    """The handlers of one run."""

    tracking: Tracking
    registry: Registry
    record: Record

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/runs/{run_id}", self.run, READ_RUNS),
            Route("GET", "/runs/{run_id}/metric", self.metric, READ_RUNS),
            Route("GET", "/charts/series", self.series, READ_RUNS),
        ]

    def run(self, request: Request) -> Response:
        run = self.tracking.runs.get(request.params["run_id"])
        metrics = by_name(run.metrics)
        moving = [point for point in metrics if point.step > 0]
        learning = [point for point in moving if not point.key.startswith(MACHINE)]
        machine = [point for point in moving if point.key.startswith(MACHINE)]
        return page(
            "run.html",
            area="runs",
            run=run,
            lost=LOST_TAG in run.tags,
            experiment=self.tracking.experiments.get(run.experiment_id),
            metrics=metrics[:MAX_LISTED],
            metric_count=len(metrics),
            charts=learning[:MAX_CHARTS],
            chart_count=len(learning),
            machine=machine[:MAX_CHARTS],
            tags=sorted((k, v) for k, v in run.tags.items() if k not in _OWN_TAGS),
            description=run.tags.get("mlflow.note.content", ""),
            files=list_folder(self.tracking, run, ""),
            versions=self._versions(run),
            parent=parent_of(run),
            inside=_table(inside(self.tracking.runs, run)),
            traces=self.tracking.traces.search(
                [run.experiment_id], f"run_id = '{run.id}'", limit=_TRACES
            ),
            lineage=lineage_of(self.record, ref("run", run.id), self.tracking),
        )

    def metric(self, request: Request) -> Response:
        run = self.tracking.runs.get(request.params["run_id"])
        key = one(request, "key")
        points = self.tracking.charts.series([run.id], key, most_steps=MAX_LISTED)[run.id]
        return page("metric.html", area="runs", run=run, key=key, points=points, most=MAX_LISTED)

    def series(self, request: Request) -> Response:
        asked = request.query()
        run_ids = list(dict.fromkeys(asked.get("run", ())))
        key = one(request, "metric")
        if not key:
            raise Invalid(
                "http.bad_query", "The address names no metric.", hint="Give ?run=ID&metric=NAME."
            )
        found = self.tracking.charts.series(run_ids, key, most_steps=MAX_STEPS)
        steps, columns = aligned(found)
        body: dict[str, Any] = {
            "metric": key,
            "steps": steps,
            "runs": [{"id": run_id, "values": columns[run_id]} for run_id in found],
        }
        answer = json_response(body)
        answer.headers = [*answer.headers, ("cache-control", "no-store")]
        return answer

    def _versions(self, run: Run) -> tuple[Any, ...]:
        query = Query(clauses=(Clause("run_id", "=", run.id),), limit=_VERSIONS)
        return self.registry.versions.search(query).items


def _table(found: Page[Run]) -> dict[str, Any]:
    """Runs with their values of the metrics that come first by name."""
    keys = [point.key for point in by_name([p for run in found.items for p in run.metrics])]
    shown = [key for key in dict.fromkeys(keys) if not key.startswith(MACHINE)][:_INSIDE_METRICS]
    latest = [{point.key: point.value for point in run.metrics} for run in found.items]
    rows = [
        (run, LOST_TAG in run.tags, [values.get(key) for key in shown])
        for run, values in zip(found.items, latest, strict=True)
    ]
    return {"metrics": shown, "rows": rows, "more": found.next_token is not None}
