"""Series of metrics for charts: many runs at once, thinned to what a screen can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mainspring.ports.database import Database, Reader
from mainspring.tracking.limits import bad
from mainspring.tracking.lookup import need_place
from mainspring.tracking.ports import Place, RunStore
from mainspring.tracking.types import Dataset, Point

MAX_RUNS: Final = 100
MAX_STEPS: Final = 2500
MAX_EXPERIMENTS: Final = 20
MAX_DATASETS: Final = 1000


class ChartStore(Protocol):
    """Reads of series by step."""

    def steps(
        self, reader: Reader, place: Place, key: str, span: tuple[int, int] | None
    ) -> list[int]:
        """The different steps of a metric, in order; those from the first to the last of a span."""
        ...

    def points_at(
        self, reader: Reader, place: Place, key: str, steps: Sequence[int]
    ) -> list[Point]:
        """The points of a metric at some steps, by step and time."""
        ...

    def datasets(
        self, reader: Reader, experiment_ids: Sequence[str], limit: int
    ) -> list[tuple[str, Dataset, str]]:
        """Datasets that runs of experiments named: experiment, dataset, context; newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Charts:
    """Thinned series, and what datasets there are to choose from."""

    database: Database
    runs: RunStore
    store: ChartStore

    def series(
        self,
        run_ids: Sequence[str],
        key: str,
        *,
        span: tuple[int, int] | None = None,
        most_steps: int = MAX_STEPS,
    ) -> dict[str, list[Point]]:
        """For each run its points at the same, evenly spread steps, its own first and last included.

        Errors: ``tracking.run_not_found``, ``tracking.bad_value`` for too many runs or steps.
        """
        if not 1 <= len(run_ids) <= MAX_RUNS:
            raise bad(f"A chart shows 1 to {MAX_RUNS} runs", f"not {len(run_ids)}")
        if not 1 <= most_steps <= MAX_STEPS:
            raise bad("max_results", f"must be between 1 and {MAX_STEPS}")
        if span is not None and span[0] > span[1]:
            raise bad("end_step", "must be greater than start_step")

        def work(reader: Reader) -> dict[str, list[Point]]:
            places = [need_place(self.runs, reader, run_id) for run_id in run_ids]
            steps = [self.store.steps(reader, place, key, span) for place in places]
            shared = set(spread(sorted(set().union(*steps)), most_steps))
            return {
                place.run_id: thinned(
                    self.store.points_at(
                        reader,
                        place,
                        key,
                        sorted(shared.intersection(own) | set(own[:1] + own[-1:])),
                    ),
                    most_steps,
                )
                for place, own in zip(places, steps, strict=True)
            }

        return self.database.read(work)

    def datasets(self, experiment_ids: Sequence[str]) -> list[tuple[str, Dataset, str]]:
        """Datasets that runs named: experiment, dataset, context. Errors: ``tracking.bad_value``."""
        if not 1 <= len(experiment_ids) <= MAX_EXPERIMENTS:
            raise bad(
                f"1 to {MAX_EXPERIMENTS} experiments", f"can be asked, not {len(experiment_ids)}"
            )
        return self.database.read(
            lambda reader: self.store.datasets(reader, experiment_ids, MAX_DATASETS)
        )


def thinned(points: list[Point], most: int) -> list[Point]:
    """The points, evenly spread where a step has many of them, as when all were logged at step 0."""
    if len(points) <= most + 2:  # a run's first and last may come on top
        return points
    return [points[at] for at in spread(range(len(points)), most)]


def spread(steps: Sequence[int], most: int) -> list[int]:
    """At most so many of the steps, evenly spread by rank, the first and the last among them.

    Example:
        >>> spread([0, 1, 2, 3, 4, 5, 6, 7, 8], 3)
        [0, 4, 8]
    """
    if len(steps) <= most:
        return list(steps)
    if most == 1:
        return [steps[-1]]
    last = len(steps) - 1
    return [steps[round(i * last / (most - 1))] for i in range(most)]
