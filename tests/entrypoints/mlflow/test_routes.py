from __future__ import annotations

from collections.abc import Iterator

import pytest

from mainspring._adapters.sql.registry import SqlRegistry
from mainspring._bootstrap.tracking import open_tracking
from mainspring._entrypoints._http import OPEN, Mount
from mainspring._entrypoints.mlflow import mlflow_mount
from mainspring.registry import open_registry
from mainspring.testing.workspace import memory_ports

E = "/api/2.0/mlflow"
MUST = f"""
POST {E}/experiments/create
GET {E}/experiments/get
GET {E}/experiments/get-by-name
POST {E}/experiments/search
GET {E}/experiments/search
POST {E}/experiments/delete
POST {E}/experiments/restore
POST {E}/experiments/update
POST {E}/experiments/set-experiment-tag
POST {E}/experiments/delete-experiment-tag
POST {E}/runs/create
GET {E}/runs/get
POST {E}/runs/update
POST {E}/runs/delete
POST {E}/runs/restore
POST {E}/runs/set-tag
POST {E}/runs/delete-tag
POST {E}/runs/log-metric
POST {E}/runs/log-parameter
POST {E}/runs/log-batch
POST {E}/runs/log-inputs
POST {E}/runs/outputs
POST {E}/runs/log-model
POST {E}/runs/search
GET {E}/metrics/get-history
GET {E}/artifacts/list
GET /api/2.0/mlflow-artifacts/artifacts
PUT /api/2.0/mlflow-artifacts/artifacts/{{path*}}
GET /api/2.0/mlflow-artifacts/artifacts/{{path*}}
DELETE /api/2.0/mlflow-artifacts/artifacts/{{path*}}
GET /get-artifact
GET /model-versions/get-artifact
POST {E}/logged-models
GET {E}/logged-models/{{model_id}}
PATCH {E}/logged-models/{{model_id}}
DELETE {E}/logged-models/{{model_id}}
PATCH {E}/logged-models/{{model_id}}/tags
DELETE {E}/logged-models/{{model_id}}/tags/{{key}}
POST {E}/logged-models/{{model_id}}/params
POST {E}/logged-models/search
GET {E}/logged-models/{{model_id}}/artifacts/directories
POST {E}/registered-models/create
POST {E}/registered-models/rename
PATCH {E}/registered-models/update
DELETE {E}/registered-models/delete
GET {E}/registered-models/get
GET {E}/registered-models/search
POST {E}/registered-models/get-latest-versions
GET {E}/registered-models/get-latest-versions
POST {E}/registered-models/set-tag
DELETE {E}/registered-models/delete-tag
POST {E}/registered-models/alias
DELETE {E}/registered-models/alias
GET {E}/registered-models/alias
POST {E}/model-versions/create
PATCH {E}/model-versions/update
POST {E}/model-versions/transition-stage
DELETE {E}/model-versions/delete
GET {E}/model-versions/get
GET {E}/model-versions/search
GET {E}/model-versions/get-download-uri
POST {E}/model-versions/set-tag
DELETE {E}/model-versions/delete-tag
GET /health
GET /version
GET /api/3.0/mlflow/server-info
""".split("\n")


@pytest.fixture
def mount() -> Iterator[Mount]:
    with memory_ports() as ports:
        tracking = open_tracking(ports.database, ports.objects, ports.clock)
        store = SqlRegistry(dialect="sqlite")
        yield mlflow_mount(
            tracking, open_registry(ports.database, store, ports.clock, ports.objects)
        )


def test_every_address_that_clients_need_is_there(mount: Mount) -> None:
    """All of the wire's must, and each under the pages' prefix too."""
    there = {f"{route.method} {route.pattern}" for route in mount.routes}
    must = [line for line in MUST if line]
    assert [line for line in must if line not in there] == []
    twins = [line.replace(" /api/", " /ajax-api/") for line in must]
    assert [line for line in twins if line not in there] == []


def test_few_addresses_are_open(mount: Mount) -> None:
    """Without a token only level, health and features answer."""
    opened = {route.pattern for route in mount.routes if route.permission == OPEN}
    assert opened == {
        "/health",
        "/version",
        "/api/3.0/mlflow/server-info",
        "/ajax-api/3.0/mlflow/server-info",
    }


def test_reading_and_writing_are_told_apart(mount: Mount) -> None:
    """Whatever changes something asks for the right to write, and only that."""
    reading = ("search", "search-datasets", "get-latest-versions", "batchGetInfos", "download-url")
    for route in mount.routes:
        reads = route.method == "GET" or route.pattern.endswith(reading)
        assert (route.permission[1] == "read") == reads, route
