"""The MLflow tracking, registry and artifact wire, as clients of 2.x and 3.x speak it.

Semantics, limits, codes and orders are those of MLflow 3.17's server, except its faults: a batch
is stored whole or not at all, a body that does not fit is refused whole, a bad filter is a 400.
"""

from __future__ import annotations

from mainspring._entrypoints._http import Mount
from mainspring._entrypoints.mlflow.artifacts import ArtifactRoutes
from mainspring._entrypoints.mlflow.charts import ChartRoutes
from mainspring._entrypoints.mlflow.errors import encode_error
from mainspring._entrypoints.mlflow.experiments import ExperimentRoutes
from mainspring._entrypoints.mlflow.logged_models import LoggedModelRoutes
from mainspring._entrypoints.mlflow.logging import LoggingRoutes
from mainspring._entrypoints.mlflow.model_versions import ModelVersionRoutes
from mainspring._entrypoints.mlflow.multipart import MultipartRoutes
from mainspring._entrypoints.mlflow.otlp import OtlpRoutes
from mainspring._entrypoints.mlflow.registered_models import RegisteredModelRoutes
from mainspring._entrypoints.mlflow.runs import RunRoutes
from mainspring._entrypoints.mlflow.server import server_routes
from mainspring._entrypoints.mlflow.traces import TraceRoutes
from mainspring._entrypoints.mlflow.traces_judging import AssessmentRoutes
from mainspring._entrypoints.mlflow.traces_older import OlderTraceRoutes
from mainspring.registry import Registry
from mainspring.tracking import Tracking

PREFIXES = (
    "/api/2.0/",
    "/api/3.0/",
    "/ajax-api/",
    "/get-artifact",
    "/model-versions/",
    "/v1/traces",
)


def mlflow_mount(tracking: Tracking, registry: Registry) -> Mount:
    """Every route of the wire over the two stages that answer it."""
    clock = tracking.assessments.clock
    routes = [
        *server_routes(),
        *ExperimentRoutes(tracking.experiments).routes(),
        *RunRoutes(tracking.runs).routes(),
        *LoggingRoutes(tracking.runs).routes(),
        *ArtifactRoutes(tracking, registry).routes(),
        *MultipartRoutes(tracking).routes(),
        *ChartRoutes(tracking).routes(),
        *LoggedModelRoutes(tracking).routes(),
        *RegisteredModelRoutes(registry).routes(),
        *ModelVersionRoutes(registry, tracking).routes(),
        *TraceRoutes(tracking, clock).routes(),
        *OlderTraceRoutes(tracking).routes(),
        *AssessmentRoutes(tracking.assessments, clock).routes(),
        *OtlpRoutes(tracking.traces).routes(),
    ]
    return Mount(tuple(routes), PREFIXES, encode_error)


__all__ = ["mlflow_mount"]
