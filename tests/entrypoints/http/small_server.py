"""A server of a few routes, for the tests of the HTTP layer: python small_server.py PORT [TOKEN]."""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future

from mainspring._entrypoints._http import (
    OPEN,
    Application,
    Doors,
    Mount,
    OneToken,
    Request,
    Response,
    Route,
    json_response,
    serve,
    text_response,
)


def _echo(request: Request) -> Response:
    return json_response(
        {
            "path": request.path,
            "params": request.params,
            "query": request.query(),
            "size": len(request.body),
            "actor": str(request.actor),
        }
    )


def _later(_request: Request) -> Future[Response]:
    future: Future[Response] = Future()
    future.set_result(text_response("later"))
    return future


def _slow(_request: Request) -> Response:
    print("a slow answer begins", file=sys.stderr, flush=True)  # what a test waits for
    time.sleep(1.0)
    return text_response("slow")


def _broken(_request: Request) -> Response:
    raise ZeroDivisionError("canary-secret")


def _count(request: Request) -> Response:
    return json_response({"bytes": sum(len(chunk) for chunk in request.chunks)})


def _stream(_request: Request) -> Response:
    return Response(200, [("content-type", "text/plain")], (b"x" * 1000 for _ in range(1000)))


ROUTES = (
    Route("GET", "/health", lambda _: text_response("OK"), OPEN, inline=True),
    Route("GET", "/echo", _echo, ("tests", "read")),
    Route("POST", "/echo", _echo, ("tests", "write"), body_limit_bytes=1000),
    Route("DELETE", "/echo", _echo, ("tests", "write")),
    Route("PUT", "/files/{path*}", _count, ("tests", "write"), 1 << 30, streams=True),
    Route("GET", "/files/{path*}", _echo, ("tests", "read")),
    Route("GET", "/things/{name}/parts/{part}", _echo, ("tests", "read")),
    Route("GET", "/later", _later, ("tests", "read"), inline=True),
    Route("GET", "/slow", _slow, ("tests", "read")),
    Route("GET", "/broken", _broken, ("tests", "read")),
    Route("GET", "/stream", _stream, ("tests", "read")),
)

if __name__ == "__main__":
    token = OneToken(sys.argv[2]) if len(sys.argv) > 2 else None
    app = Application([Mount(ROUTES)], Doors(authenticator=token))
    serve(app, "127.0.0.1", int(sys.argv[1]))
