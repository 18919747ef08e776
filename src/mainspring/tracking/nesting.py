"""Runs inside runs: a search's trials, a comparison's folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mainspring.core.pages import Page
    from mainspring.tracking.anywhere import AnyRuns
    from mainspring.tracking.types import Run

PARENT_TAG: Final = "mlflow.parentRunId"
MOST_INSIDE: Final = 100


def inside(runs: AnyRuns, run: Run, *, limit: int = MOST_INSIDE) -> Page[Run]:
    """The live runs of the same experiment that began inside a run, newest first."""
    return runs.search([run.experiment_id], f"tags.`{PARENT_TAG}` = '{run.id}'", limit=limit)


def parent_of(run: Run) -> str:
    """The run that this one began inside; empty when there is none."""
    return run.tags.get(PARENT_TAG, "")
