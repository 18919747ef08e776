"""The tracking stage over a database and an object store."""

from __future__ import annotations

from pathlib import Path

from mainspring._adapters.sql.fields import Fields
from mainspring._adapters.sql.tracking_artifacts import SqlArtifacts
from mainspring._adapters.sql.tracking_charts import SqlCharts
from mainspring._adapters.sql.tracking_experiments import SqlExperiments
from mainspring._adapters.sql.tracking_models import SqlModels
from mainspring._adapters.sql.tracking_runs import SqlRuns
from mainspring._adapters.sql.tracking_traces import SqlTraces
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database
from mainspring.ports.objects import Objects
from mainspring.tracking import (
    Artifacts,
    Assessments,
    Charts,
    Experiments,
    LoggedModels,
    Runs,
    Traces,
    Tracking,
)
from mainspring.tracking.active import Started
from mainspring.tracking.recording import Recorder
from mainspring.tracking.sending import Sender


def open_tracking(database: Database, objects: Objects, clock: Clock) -> Tracking:
    """The stage's services, with the experiment "Default" there. The database is migrated."""
    fields = Fields()
    experiments, runs = SqlExperiments(), SqlRuns(dialect=database.dialect, fields=fields)
    traces = SqlTraces(database.dialect)
    tracking = Tracking(
        experiments=Experiments(database, experiments, clock),
        runs=Runs(database, runs, experiments, clock),
        models=LoggedModels(database, SqlModels(fields), experiments, clock),
        artifacts=Artifacts(database, SqlArtifacts(), objects, clock),
        charts=Charts(database, runs, SqlCharts(fields)),
        traces=Traces(database, traces, experiments, runs, SqlArtifacts()),
        assessments=Assessments(database, traces, clock),
    )
    tracking.experiments.prepare()
    return tracking


def open_runs(tracking: Tracking, folder: Path, *, offline: bool = False) -> Started:
    """Runs for training code, with their spool in a folder. Close it before the database."""
    from mainspring._adapters.frames import FrameLibraries
    from mainspring._adapters.spool import FileSpool
    from mainspring._adapters.surroundings import capture_surroundings

    spool = FileSpool(folder)
    sender = Sender(tracking.experiments, tracking.runs, tracking.artifacts, tracking.models, spool)
    return Started(
        Recorder(sender, spool, offline=offline),
        capture_surroundings,
        frames=FrameLibraries(),
        let_go=spool.close,
    )
