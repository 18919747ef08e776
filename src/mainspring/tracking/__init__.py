"""Experiments, runs, parameters, metrics, tags, artifacts, logged models and traces.

An experiment holds runs. A run has parameters (written once), tags (changeable), metrics (series
of points; the latest by step, time and value is what searches see), inputs (datasets and models it
read), outputs (models it made) and artifacts (files, content-addressed). Deleting takes out of
sight; restoring brings back.

Each use case is one transaction with its event, durable when acknowledged; what a batch logs is
stored whole or not at all. Searches speak MLflow's filter language (:mod:`.filters`).
"""

from __future__ import annotations

from dataclasses import dataclass

from mainspring.tracking.artifacts import Artifacts
from mainspring.tracking.charts import Charts
from mainspring.tracking.experiments import Experiments
from mainspring.tracking.models import LoggedModels
from mainspring.tracking.runs import Runs
from mainspring.tracking.traces import Traces
from mainspring.tracking.traces_judging import Assessments
from mainspring.tracking.types import Batch, DatasetInput, Experiment, LoggedModel, Point, Run
from mainspring.tracking.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Tracking:
    """The stage's services over one database and one object store."""

    experiments: Experiments
    runs: Runs
    models: LoggedModels
    artifacts: Artifacts
    charts: Charts
    traces: Traces
    assessments: Assessments
    uploads: Uploads


__all__ = [
    "Artifacts",
    "Assessments",
    "Batch",
    "Charts",
    "DatasetInput",
    "Experiment",
    "Experiments",
    "LoggedModel",
    "LoggedModels",
    "Point",
    "Run",
    "Runs",
    "Traces",
    "Tracking",
    "Uploads",
]
