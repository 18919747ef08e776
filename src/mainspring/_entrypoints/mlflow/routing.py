"""Where the wire's routes lie: under ``/api`` for clients and ``/ajax-api`` for pages."""

from __future__ import annotations

from typing import Any, Final

from mainspring._entrypoints._http import Route
from mainspring._entrypoints._http.routing import Handler, Permission

PREFIXES: Final = ("/api", "/ajax-api")
EXPERIMENTS_READ: Final[Permission] = ("experiments", "read")
EXPERIMENTS_WRITE: Final[Permission] = ("experiments", "write")
RUNS_READ: Final[Permission] = ("runs", "read")
RUNS_WRITE: Final[Permission] = ("runs", "write")
MODELS_READ: Final[Permission] = ("models", "read")
MODELS_WRITE: Final[Permission] = ("models", "write")
LARGE_BODY_BYTES: Final = 32 << 20


def both(
    method: str, path: str, handler: Handler, permission: Permission, **options: Any
) -> list[Route]:
    """The route under each prefix; a path starts with its version (``/2.0/mlflow/...``)."""
    return [Route(method, f"{prefix}{path}", handler, permission, **options) for prefix in PREFIXES]
