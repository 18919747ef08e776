"""Our errors in MLflow's words: one table from kind, and from a few codes, to its error codes.

MLflow's clients retry every 5xx for minutes and hang decisions on the code, so what can never
work is always a 400 here, conflicts with a run's state included.
Source: mlflow/exceptions.py and mlflow/protos/databricks.proto of MLflow 3.17.
"""

from __future__ import annotations

from typing import Final

from mainspring._entrypoints._http.errors import status_of
from mainspring.core.digest import canonical_json
from mainspring.core.errors import Kind, MainspringError

_KINDS: Final[dict[Kind, tuple[str, int]]] = {
    "invalid": ("INVALID_PARAMETER_VALUE", 400),
    "denied": ("PERMISSION_DENIED", 403),
    "not_found": ("RESOURCE_DOES_NOT_EXIST", 404),
    "conflict": ("INVALID_PARAMETER_VALUE", 400),
    "unavailable": ("TEMPORARILY_UNAVAILABLE", 503),
    "timeout": ("TEMPORARILY_UNAVAILABLE", 504),
    "broken": ("INTERNAL_ERROR", 500),
}
_CODES: Final[dict[str, tuple[str, int]]] = {
    "http.no_such_address": ("ENDPOINT_NOT_FOUND", 404),
    "http.unauthenticated": ("UNAUTHENTICATED", 401),
    "tracking.experiment_exists": ("RESOURCE_ALREADY_EXISTS", 400),
    "registry.name_taken": ("RESOURCE_ALREADY_EXISTS", 400),
    "registry.name_retired": ("RESOURCE_ALREADY_EXISTS", 400),
    "registry.alias_not_found": ("INVALID_PARAMETER_VALUE", 400),
    "database.broken": ("TEMPORARILY_UNAVAILABLE", 503),
    "database.full": ("RESOURCE_EXHAUSTED", 507),
    "objects.full": ("RESOURCE_EXHAUSTED", 507),
}


def encode_error(error: MainspringError) -> tuple[int, bytes]:
    """Status and body of an error on this wire."""
    code, status = _CODES.get(error.code) or _KINDS[error.kind]
    if error.code.startswith("http."):
        status = status_of(error)
    return status, canonical_json({"error_code": code, "message": str(error)})
