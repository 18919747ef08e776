"""Finding what a caller named, and saying so when it is not there or may not be changed."""

from __future__ import annotations

from mainspring.core.errors import Conflict, NotFound
from mainspring.ports.database import Reader
from mainspring.tracking.limits import check_run_id
from mainspring.tracking.ports import ExperimentStore, ModelStore, Place, RunStore
from mainspring.tracking.types import Experiment, LoggedModel


def need_experiment(
    store: ExperimentStore, reader: Reader, experiment_id: str, *, live: bool = False
) -> Experiment:
    """The experiment of this identifier.

    Errors: ``tracking.experiment_not_found``, ``tracking.experiment_deleted`` with ``live``.
    """
    found = store.find(reader, experiment_id)
    if found is None:
        raise NotFound(
            "tracking.experiment_not_found",
            f"No Experiment with id={experiment_id[:80]} exists.",
            hint="Search for experiments by name.",
            experiment_id=experiment_id[:80],
        )
    if live and found.state == "deleted":
        raise Conflict(
            "tracking.experiment_deleted",
            f"The experiment {experiment_id} must be in the 'active' state. "
            "Current state is deleted.",
            hint="Restore the experiment first.",
            experiment_id=experiment_id,
        )
    return found


def need_place(store: RunStore, reader: Reader, run_id: str, *, live: bool = False) -> Place:
    """Where a run's rows are.

    Errors: ``tracking.run_not_found``, ``tracking.run_deleted`` with ``live``.
    """
    place = store.place(reader, check_run_id(run_id))
    if place is None:
        raise NotFound(
            "tracking.run_not_found",
            f"Run with id={run_id} not found.",
            hint="List runs with 'mainspring runs ls', or search their experiment.",
            run_id=run_id,
        )
    if live and place.state == "deleted":
        raise Conflict(
            "tracking.run_deleted",
            f"The run {run_id} must be in the 'active' state. Current state is deleted.",
            hint="Restore the run first.",
            run_id=run_id,
        )
    return place


def need_model(store: ModelStore, reader: Reader, model_id: str) -> LoggedModel:
    """The live logged model. Errors: ``tracking.model_not_found``."""
    found = store.find(reader, model_id)
    if found is None or found.state == "deleted":
        raise NotFound(
            "tracking.model_not_found",
            f"Logged model with ID '{model_id[:80]}' not found.",
            hint="Search for logged models in their experiment.",
            model_id=model_id[:80],
        )
    return found
