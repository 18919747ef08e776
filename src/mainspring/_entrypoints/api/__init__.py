"""Our own REST under ``/api/v1``, described by ``/api/v1/openapi.json``.

Bodies and answers are JSON of the stages' own values; a metric that is NaN is ``null`` in answers
and may be sent as ``null``. Whoever asks and sends as ``application/msgpack`` gets and gives the same
values in that form, where NaN and infinity are numbers. A listing answers ``{"items": [...], "next_token": ...}``; give the
token back as ``token`` for the next page. An error is ``{code, message, hint, facts}``.
"""

from __future__ import annotations

from mainspring._entrypoints._http import OPEN, Mount, Request, Response, Route, json_bytes
from mainspring._entrypoints.api.aliases import AliasOperations
from mainspring._entrypoints.api.artifacts import ArtifactOperations
from mainspring._entrypoints.api.experiments import ExperimentOperations
from mainspring._entrypoints.api.models import ModelOperations
from mainspring._entrypoints.api.openapi import describe_api
from mainspring._entrypoints.api.packages import PackageOperations
from mainspring._entrypoints.api.runs import RunOperations
from mainspring._entrypoints.api.versions import VersionOperations
from mainspring.core.digest import canonical_json
from mainspring.registry import Registry
from mainspring.tracking import Tracking

PREFIX = "/api/v1"


def api_mount(tracking: Tracking, registry: Registry) -> Mount:
    """Every operation, and the description of all."""
    operations = [
        *ExperimentOperations(tracking.experiments).operations(),
        *RunOperations(tracking).operations(),
        *ArtifactOperations(tracking).operations(),
        *ModelOperations(registry).operations(),
        *VersionOperations(registry).operations(),
        *PackageOperations(registry).operations(),
        *AliasOperations(registry).operations(),
    ]
    described: list[bytes] = []

    def openapi(_request: Request) -> Response:
        if not described:  # made when it is first asked for: a server starts without it
            described.append(canonical_json(describe_api(operations, PREFIX)))
        return json_bytes(described[0])

    routes = [operation.route(PREFIX) for operation in operations]
    routes.append(Route("GET", f"{PREFIX}/openapi.json", openapi, OPEN))
    return Mount(tuple(routes), (f"{PREFIX}/",))


__all__ = ["api_mount"]
