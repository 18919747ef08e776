"""What clients look at first: level, health, features."""

from __future__ import annotations

from typing import Final

from mainspring._entrypoints._http import OPEN, Request, Response, Route, text_response
from mainspring._entrypoints.mlflow.routing import both
from mainspring._entrypoints.mlflow.writing import answer

# The MLflow release whose wire this is; its clients ask before they send spans.
LEVEL: Final = "3.17.2"
_INFO: Final = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": True,
    # They work when a client insists; by itself it would ask once more for each small file.
    "multipart_downloads_enabled": False,
    "presigned_upload_run_id_supported": False,
    "presigned_upload_model_id_supported": False,
}


def _health(_request: Request) -> Response:
    return text_response("OK")


def _version(_request: Request) -> Response:
    return text_response(LEVEL)


def _info(_request: Request) -> Response:
    return answer(_INFO)


def server_routes() -> list[Route]:
    """The open routes."""
    return [
        Route("GET", "/health", _health, OPEN, inline=True),
        Route("GET", "/version", _version, OPEN, inline=True),
        *both("GET", "/3.0/mlflow/server-info", _info, OPEN, inline=True),
    ]
