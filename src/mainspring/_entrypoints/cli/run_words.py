"""Runs as the terminal says them: numbers, moments, durations and courses of metrics."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mainspring._entrypoints.cli.sparkline import WIDTH, sparkline
from mainspring.core.errors import Invalid, NotFound
from mainspring.tracking.types import ENDED, LOST_TAG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mainspring._bootstrap.workspace import Workspace
    from mainspring.tracking import Run
    from mainspring.tracking.types import View

_ID_LETTERS: Final = 32
_RUNS_AT_ONCE: Final = 100
_STEPS: Final = 10 * WIDTH
_MINUTE: Final = 60
_HOUR: Final = 3600


def whole_id(workspace: Workspace, text: str, view: View = "active") -> str:
    """The id that a text is the beginning of.

    Errors: ``tracking.run_not_found``; ``cli.wrong_use`` when several recent runs begin so.
    """
    if len(text) >= _ID_LETTERS:
        return text
    experiments = [one.id for one in workspace.tracking.experiments.search(limit=50_000).items]
    recent = workspace.tracking.runs.search(experiments, view=view).items
    found = [run.id for run in recent if run.id.startswith(text)]
    if not found:
        raise NotFound(
            "tracking.run_not_found",
            f"No recent run's id begins with {text[:40]!r}.",
            hint="'mainspring runs ls' lists them.",
        )
    if len(found) > 1:
        raise Invalid(
            "cli.wrong_use",
            f"{len(found)} runs begin with {text[:40]!r}.",
            hint=f"Write more of it, such as {found[0]}.",
        )
    return found[0]


def status_word(run: Run) -> str:
    """What became of a run; ``lost`` when its process fell silent."""
    return "lost" if LOST_TAG in run.tags else run.status.lower()


def metric_values(run: Run) -> dict[str, Any]:
    """The latest values by name; what JSON has no number for as text."""
    return {
        point.key: point.value if math.isfinite(point.value) else str(point.value)
        for point in run.metrics
    }


def number_text(value: float) -> str:
    """A metric's value, six digits of it."""
    return f"{value:.6g}"


def moment_of(milliseconds: int | None) -> datetime | None:
    """A wire's moment as one; None for a number that no calendar has."""
    if milliseconds is None:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def lasted(run: Run) -> str:
    """How long a run took, to two units; empty while it has not ended."""
    if run.end_ms is None or run.status not in ENDED or run.end_ms < run.start_ms:
        return ""
    seconds = (run.end_ms - run.start_ms) / 1000
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"


def plain(run: Run) -> dict[str, Any]:
    """A run as the JSON document of a command holds it."""
    import msgspec

    return {**msgspec.to_builtins(run), "metrics": metric_values(run)}


def trends(workspace: Workspace, runs: Sequence[Run], key: str) -> dict[str, str]:
    """The course of a metric in each of some runs, by run; empty where it was not logged."""
    found: dict[str, str] = {}
    for start in range(0, len(runs), _RUNS_AT_ONCE):
        part = [run.id for run in runs[start : start + _RUNS_AT_ONCE]]
        series = workspace.tracking.charts.series(part, key, most_steps=_STEPS)
        found |= {run: sparkline([p.value for p in points]) for run, points in series.items()}
    return found
