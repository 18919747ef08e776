"""Templates to answers: one environment that escapes everything, and the page for an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mainspring._entrypoints._http import Request, Response
from mainspring._entrypoints._http.errors import status_of
from mainspring._entrypoints.ui import figures, literal
from mainspring._entrypoints.ui.assets import asset
from mainspring._entrypoints.ui.waterfall import lasted, tokens
from mainspring.core.errors import MainspringError

HTML: Final = "text/html; charset=utf-8"
READ_RUNS: Final = ("runs", "read")
READ_MODELS: Final = ("models", "read")
_TEMPLATES: Final = Path(__file__).with_name("templates")
_TITLES: Final = {
    400: "This cannot be asked",
    401: "A token is needed",
    403: "Not allowed",
    404: "Nothing here",
    503: "Not available now",
}
Query = str | int | None | Sequence[str]


def address(*segments: object, **query: Query) -> str:
    """An address on this server, every part encoded; fields that are None or "" are left out."""
    path = "/" + "/".join(quote(str(segment), safe="") for segment in segments)
    pairs = [
        (name, value)
        for name, given in query.items()
        for value in ([given] if isinstance(given, str | int) else given or ())
        if value != ""
    ]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=literal.shown,
    )
    environment.filters.update(
        breakable=literal.breakable,
        exact=literal.exact,
        lasted=lasted,
        tokens=tokens,
        moment=figures.moment,
        moment_of=figures.moment_of,
        number=figures.number,
        prose=literal.prose,
        size=figures.size,
        whole=figures.whole,
    )
    environment.globals.update(address=address, asset=asset, span=figures.span)
    return environment


_ENVIRONMENT: Final = _environment()


def render(template: str, **values: Any) -> bytes:
    """A template as bytes, every value escaped."""
    return _ENVIRONMENT.get_template(template).render(**values).encode()


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """A template as a page, which no cache keeps."""
    headers = [("content-type", HTML), ("cache-control", "no-store")]
    return Response(status, headers, render(template, **values))


def encode_error(error: MainspringError) -> tuple[int, bytes]:
    """An error as a page that says what to do next."""
    status = status_of(error)
    title = _TITLES.get(status, "That went wrong")
    # The code tells the status apart; the hint for programs would mislead a reader of pages.
    lost = error.code == "http.no_such_address"
    hint = "Start from the runs or the models." if lost else error.hint
    return status, render("error.html", title=title, error=error, hint=hint, area="")


def one(request: Request, name: str, default: str = "") -> str:
    """The last value of a query field."""
    return request.query().get(name, [default])[-1]
