"""Errors as each wire of a gateway writes them."""

from __future__ import annotations

import msgspec

from mainspring._entrypoints._http.errors import error_headers, status_of
from mainspring._entrypoints._http.messages import Response
from mainspring.core.errors import MainspringError


def refusal(path: str, error: MainspringError) -> Response:
    """The answer to a request at that path that failed."""
    status = status_of(error)
    headers = error_headers(error, status)
    if path.startswith("/v2"):
        body = msgspec.json.encode({"error": f"{error.code}: {error}"})
    elif path.endswith("/invocations"):
        body = msgspec.json.encode({"error_code": _mlflow_code(status), "message": str(error)})
    else:
        body = msgspec.json.encode(error.as_dict())
    return Response(status, headers, body)


def _mlflow_code(status: int) -> str:
    return {400: "BAD_REQUEST", 404: "RESOURCE_DOES_NOT_EXIST", 503: "TEMPORARILY_UNAVAILABLE"}.get(
        status,
        "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR",  # noqa: PLR2004
    )
