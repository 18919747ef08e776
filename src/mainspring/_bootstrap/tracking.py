"""The tracking stage over a database and an object store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mainspring._adapters.sql.fields import Fields
from mainspring._adapters.sql.tracking_artifacts import SqlArtifacts
from mainspring._adapters.sql.tracking_charts import SqlCharts
from mainspring._adapters.sql.tracking_experiments import SqlExperiments
from mainspring._adapters.sql.tracking_models import SqlModels
from mainspring._adapters.sql.tracking_runs import SqlRuns
from mainspring._adapters.sql.tracking_traces import SqlTraces
from mainspring._adapters.sql.tracking_uploads import SqlUploads
from mainspring._bootstrap.later import Later
from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
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
    Uploads,
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
        uploads=Uploads(database, SqlUploads(), SqlArtifacts(), objects, clock),
    )
    tracking.experiments.prepare()
    return tracking


@dataclass(frozen=True, slots=True)
class Recording:
    """How runs of training code are recorded: sent or kept, and what they note by themselves."""

    offline: bool = False
    capture: frozenset[str] = frozenset({"code", "environment", "machine"})


def read_recording(mode: str, capture: str) -> Recording:
    """The settings' words. Errors: ``settings.bad_mode``, ``settings.bad_capture``."""
    from mainspring._adapters.surroundings import PARTS

    if mode not in {"online", "offline"}:
        raise Invalid(
            "settings.bad_mode",
            f"The setting mode is {mode[:80]!r}.",
            hint="Say online or offline.",
        )
    words = frozenset(word.strip() for word in capture.split(",") if word.strip())
    for word in sorted(words - set(PARTS)):
        raise Invalid(
            "settings.bad_capture",
            f"The setting capture names {word[:80]!r}.",
            hint=did_you_mean(word[:80], PARTS),
        )
    return Recording(mode == "offline", words)


def open_runs(tracking: Tracking, folder: Path, recording: Recording | None = None) -> Started:
    """Runs for training code, with their spool in a folder. Close it before the database."""
    from mainspring._adapters.frames import FrameLibraries
    from mainspring._adapters.spool import FileSpool
    from mainspring._adapters.surroundings import capture_process, watches

    recording = recording or Recording()
    spool = FileSpool(folder)
    # Each part is looked up when it is used: a store that is away ends nothing.
    sender = Sender(
        experiments=cast("Any", Later(lambda: tracking.experiments)),
        runs=cast("Any", Later(lambda: tracking.runs)),
        artifacts=cast("Any", Later(lambda: tracking.artifacts)),
        models=cast("Any", Later(lambda: tracking.models)),
        files=spool,
    )
    return Started(
        Recorder(sender, spool, offline=recording.offline),
        capture_process,
        watches(recording.capture),
        FrameLibraries(),
        let_go=spool.close,
    )
