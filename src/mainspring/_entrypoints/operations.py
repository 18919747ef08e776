"""What those who run the server look at: whether it can take work, and what it counted."""

from __future__ import annotations

from mainspring._entrypoints._http import (
    EXPOSITION_TYPE,
    OPEN,
    Counted,
    Exposition,
    Mount,
    Request,
    Response,
    Route,
    text_response,
)
from mainspring.ports.database import Database


def operations_mount(database: Database, counted: Counted) -> Mount:
    """``/ready``: 200 once a transaction went through, else 503 or 507 and why; ``/metrics``."""

    def ready(_request: Request) -> Response:
        database.write(lambda _tx: None)
        return text_response("ready")

    def metrics(_request: Request) -> Response:
        out = Exposition()
        counted.write(out)
        return Response(200, [("content-type", EXPOSITION_TYPE)], out.text().encode())

    routes = (
        Route("GET", "/ready", ready, OPEN),
        Route("GET", "/metrics", metrics, ("metrics", "read"), inline=True),
    )
    return Mount(routes, ("/ready", "/metrics"))
