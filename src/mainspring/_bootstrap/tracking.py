"""The tracking stage over a database and an object store."""

from __future__ import annotations

from mainspring._adapters.sql.fields import Fields
from mainspring._adapters.sql.tracking_artifacts import SqlArtifacts
from mainspring._adapters.sql.tracking_experiments import SqlExperiments
from mainspring._adapters.sql.tracking_models import SqlModels
from mainspring._adapters.sql.tracking_runs import SqlRuns
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database
from mainspring.ports.objects import Objects
from mainspring.tracking import Artifacts, Experiments, LoggedModels, Runs, Tracking


def open_tracking(database: Database, objects: Objects, clock: Clock) -> Tracking:
    """The stage's services, with the experiment "Default" there. The database is migrated."""
    fields = Fields()
    experiments = SqlExperiments()
    tracking = Tracking(
        experiments=Experiments(database, experiments, clock),
        runs=Runs(database, SqlRuns(dialect=database.dialect, fields=fields), experiments, clock),
        models=LoggedModels(database, SqlModels(fields), experiments, clock),
        artifacts=Artifacts(database, SqlArtifacts(), objects, clock),
    )
    tracking.experiments.prepare()
    return tracking
