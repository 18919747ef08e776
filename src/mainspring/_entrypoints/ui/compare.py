"""Runs side by side: the parameters that differ, the metrics, the curves over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.ui.figures import number
from mainspring._entrypoints.ui.rendering import READ_RUNS, address, page
from mainspring.core.errors import Invalid
from mainspring.tracking import Run, Tracking

MAX_RUNS: Final = 8
MAX_CHARTS: Final = 24


class Line(msgspec.Struct, frozen=True):
    """A name and what each run has under it; None where it has nothing."""

    name: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def param_lines(runs: Sequence[Run]) -> list[Line]:
    """Every parameter of these runs, those that differ first."""
    names = sorted({key for run in runs for key in run.params})
    lines = [Line(name, tuple(run.params.get(name) for run in runs)) for name in names]
    return sorted(lines, key=lambda line: not line.differs)


def metric_lines(runs: Sequence[Run]) -> list[Line]:
    """The latest value of every metric of these runs."""
    latest = [{point.key: number(point.value) for point in run.metrics} for run in runs]
    names = sorted(set().union(*latest), key=lambda key: (key.startswith("system/"), key))
    return [Line(name, tuple(values.get(name) for values in latest)) for name in names]


def charted(runs: Sequence[Run]) -> list[str]:
    """The metrics that have a curve."""
    keys = {point.key for run in runs for point in run.metrics if point.step > 0}
    return sorted(keys, key=lambda key: (key.startswith("system/"), key))


@dataclass(frozen=True, slots=True)
class ComparePages:
    """The handler of comparisons."""

    tracking: Tracking

    def routes(self) -> list[Route]:
        return [Route("GET", "/compare", self.compare, READ_RUNS)]

    def compare(self, request: Request) -> Response:
        run_ids = list(dict.fromkeys(request.query().get("run", ())))
        if len(run_ids) > MAX_RUNS:
            raise Invalid(
                "http.bad_query",
                f"{len(run_ids)} runs do not fit beside each other.",
                hint=f"Choose at most {MAX_RUNS}.",
            )
        runs = [self.tracking.runs.get(run_id) for run_id in run_ids]
        keys = charted(runs)
        return page(
            "compare.html",
            area="runs",
            runs=runs,
            params=param_lines(runs),
            metrics=metric_lines(runs),
            charts=[
                (key, address("charts", "series", run=run_ids, metric=key))
                for key in keys[:MAX_CHARTS]
            ],
            chart_count=len(keys),
        )
