"""Style sheet, scripts and icon: files of this package, read once, named by what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mainspring._entrypoints._http import OPEN, Request, Response, Route
from mainspring.core.digest import sha256
from mainspring.core.errors import NotFound

_FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_YEAR: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Asset:
    content_type: str
    body: bytes
    mark: str


def _read() -> dict[str, _Asset]:
    found = {}
    for path in sorted(_FOLDER.rglob("*")):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            name = path.relative_to(_FOLDER).as_posix()
            found[name] = _Asset(_TYPES[path.suffix], body, sha256(body)[7:19])
    return found


_ASSETS: Final = _read()


def asset(name: str) -> str:
    """The address of a file; it changes with its bytes, so a browser may keep it for ever."""
    return f"/static/{name}?v={_ASSETS[name].mark}"


def _serve(request: Request) -> Response:
    found = _ASSETS.get(request.params["path"])
    if found is None:
        raise NotFound(
            "http.no_such_address", "There is no such file.", hint="Load the page again."
        )
    fresh = request.query_string == f"v={found.mark}"
    headers = [
        ("content-type", found.content_type),
        ("cache-control", _YEAR if fresh else "no-cache"),
    ]
    return Response(200, headers, found.body)


def asset_routes() -> list[Route]:
    """The files; open, because they hold nothing of anyone and the page of a refusal needs them."""
    return [Route("GET", "/static/{path*}", _serve, OPEN, inline=True)]
