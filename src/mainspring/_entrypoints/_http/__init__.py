"""The HTTP layer that every wire shares: routes with permissions, doors, bodies, errors, serving.

::

    app = Application([Mount(routes)], Doors(host="127.0.0.1"))
    serve(app, "127.0.0.1", 5000)
"""

from __future__ import annotations

from mainspring._entrypoints._http.application import Application
from mainspring._entrypoints._http.counting import Counted
from mainspring._entrypoints._http.doors import Authenticator, Doors, OneToken
from mainspring._entrypoints._http.exposition import EXPOSITION_TYPE, Exposition
from mainspring._entrypoints._http.messages import (
    Answer,
    FilePart,
    Request,
    Response,
    decode_json,
    json_bytes,
    json_response,
    text_response,
)
from mainspring._entrypoints._http.routing import OPEN, Mount, Route
from mainspring._entrypoints._http.serving import serve

__all__ = [
    "EXPOSITION_TYPE",
    "OPEN",
    "Answer",
    "Application",
    "Authenticator",
    "Counted",
    "Doors",
    "Exposition",
    "FilePart",
    "Mount",
    "OneToken",
    "Request",
    "Response",
    "Route",
    "decode_json",
    "json_bytes",
    "json_response",
    "serve",
    "text_response",
]
