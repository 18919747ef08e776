"""Errors as HTTP answers: one table from kind to status."""

from __future__ import annotations

from typing import Final

from mainspring.core.digest import canonical_json
from mainspring.core.errors import Kind, MainspringError

STATUS_OF_KIND: Final[dict[Kind, int]] = {
    "invalid": 400,
    "denied": 403,
    "not_found": 404,
    "conflict": 409,
    "unavailable": 503,
    "timeout": 504,
    "broken": 500,
}
# Codes for which HTTP has a status of its own.
STATUS_OF_CODE: Final[dict[str, int]] = {
    "http.unauthenticated": 401,
    "http.method_not_allowed": 405,
    "http.too_large": 413,
    "http.unsupported_media_type": 415,
    "http.bad_range": 416,
    "database.broken": 503,  # the server reopens and verifies the file; then writing goes on
    "database.full": 507,
    "objects.full": 507,
    "disk.full": 507,
}
RETRY_AFTER_SECONDS: Final = 2
# MLflow's client waits as long as it is told, seven times, and then gives up (urllib3's Retry with
# MLFLOW_HTTP_REQUEST_MAX_RETRIES = 7): together that outlasts a database that restarts elsewhere.
RETRY_AFTER_SECONDS_OF_CODE: Final[dict[str, int]] = {
    "database.unavailable": 12,
    "database.unknown": 12,
}


def status_of(error: MainspringError) -> int:
    """The HTTP status of an error."""
    return STATUS_OF_CODE.get(error.code) or STATUS_OF_KIND[error.kind]


def encode_error(error: MainspringError) -> tuple[int, bytes]:
    """An error as our own API writes it: ``{code, message, hint, facts}``."""
    body = canonical_json(
        {"code": error.code, "message": error.message, "hint": error.hint, "facts": error.facts}
    )
    return status_of(error), body


def error_headers(
    error: MainspringError, status: int, content_type: str = "application/json"
) -> list[tuple[str, str]]:
    """What besides the body an error answer carries."""
    headers = [("content-type", content_type)]
    if status == 503:  # noqa: PLR2004 - RFC 9110, section 15.6.4
        seconds = RETRY_AFTER_SECONDS_OF_CODE.get(error.code, RETRY_AFTER_SECONDS)
        headers.append(("retry-after", str(seconds)))
    if status == 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2
        headers.append(("www-authenticate", 'Basic realm="mainspring", Bearer'))
    if error.code == "http.method_not_allowed":
        allowed = error.facts.get("methods")
        headers.append(("allow", ", ".join(allowed if isinstance(allowed, list) else [])))
    return headers
