"""An operation of the API: a route, and what its description says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from mainspring._entrypoints._http import Request, Response, Route, decode_json, json_response
from mainspring._entrypoints._http.messages import Headers
from mainspring._entrypoints._http.routing import (
    DEFAULT_BODY_LIMIT_BYTES,
    Handler,
    Permission,
)
from mainspring.core.errors import Invalid
from mainspring.core.pages import Page

T = TypeVar("T", bound=msgspec.Struct)
PACKED = "application/msgpack"  # every body and answer has this form too: NaN stays NaN in it
CREATED = 201


class PageQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which page."""

    limit: int = 100
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method and a path below the prefix. ``takes`` is the body, ``asks`` the query string.

    ``gives`` is the answer's type, ``lists`` says that it is a page of them; ``binary`` names a
    second form of the answer by its media type.
    """

    method: str
    path: str
    handler: Handler
    permission: Permission
    summary: str
    gives: Any = None
    takes: Any = None
    asks: Any = None
    lists: bool = False
    status: int = 200
    binary: str = ""
    body_limit_bytes: int = DEFAULT_BODY_LIMIT_BYTES
    streams: bool = False

    def route(self, prefix: str) -> Route:
        return Route(
            self.method,
            f"{prefix}{self.path}",
            self.handler,
            self.permission,
            body_limit_bytes=self.body_limit_bytes,
            streams=self.streams,
            content_types=("application/json", PACKED),
        )


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@lru_cache(maxsize=64)
def _unpacker(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def body(request: Request, kind: type[T]) -> T:
    """The body, JSON or MessagePack; unknown fields are refused by the type.

    Errors: ``http.bad_json``, ``http.bad_msgpack``.
    """
    if not request.headers.get("content-type", "").startswith(PACKED):
        found: T = decode_json(_decoder(kind), request.body or b"{}")
        return found
    try:
        unpacked: T = _unpacker(kind).decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(
            "http.bad_msgpack",
            f"The body is not the MessagePack this address takes: {error}.",
            hint="See /api/v1/openapi.json for what this address takes.",
        ) from error
    return unpacked


def reply(request: Request, value: Any, status: int = 200) -> Response:
    """A value as the caller asked for it: MessagePack when Accept names it, else JSON."""
    if PACKED not in request.headers.get("accept", ""):
        return json_response(value, status)
    headers: Headers = [("content-type", PACKED), ("vary", "accept")]
    return Response(status, headers, msgspec.msgpack.encode(value))


def query(request: Request, kind: type[T]) -> T:
    """The query string as a value; fields that are tuples may be given several times.

    Errors: ``http.bad_query``.
    """
    lists = {field.name for field in msgspec.structs.fields(kind) if "tuple" in str(field.type)}
    fields: dict[str, Any] = {
        name: values if name in lists else values[-1] for name, values in request.query().items()
    }
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(
            "http.bad_query",
            f"The query does not fit: {error}.",
            hint="See /api/v1/openapi.json for what this address takes.",
        ) from error


def listing(request: Request, page: Page[Any]) -> Response:
    """A page of values."""
    return reply(request, {"items": page.items, "next_token": page.next_token})


def pairs(values: dict[str, str]) -> Iterable[tuple[str, str]]:
    """A mapping's pairs, in its order."""
    return tuple(values.items())
