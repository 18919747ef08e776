"""What a handler gets and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec

from mainspring.core.actor import Actor
from mainspring.core.errors import Invalid

T = TypeVar("T")
Headers = list[tuple[str, str]]
MAX_QUERY_FIELDS: Final = 10_000


class Request:
    """One request, after the doors let it in and its body was read (or is streamed in)."""

    __slots__ = ("actor", "body", "chunks", "headers", "method", "params", "path", "query_string")

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query_string: str,
        headers: dict[str, str],
        params: dict[str, str],
        actor: Actor,
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.params = params
        self.actor = actor
        self.body: bytes = b""
        self.chunks: Iterator[bytes] = iter(())

    def query(self) -> dict[str, list[str]]:
        """The query string's fields; a field given twice keeps both values, in order."""
        fields: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(
                self.query_string,
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_QUERY_FIELDS,
            )
        except ValueError as error:
            raise Invalid(
                "http.bad_query", "The query string is not valid.", hint="Encode it as UTF-8."
            ) from error
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        return fields


class FilePart(NamedTuple):
    """Bytes of a plain file that never changes, from ``start`` up to and without ``end``.

    The server reads them as fast as the client does. A stream of chunks is taken as fast as it
    comes instead, so the rest of it waits in memory for a slow client.
    """

    path: str
    start: int
    end: int


Body = bytes | FilePart | Iterator[bytes]


class Response:
    """An answer in memory, in a file, or as a stream of chunks that a thread reads as they are sent."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: Body = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body


Answer = Response | Future[Response]

_JSON: Final = ("content-type", "application/json")
_encode = msgspec.json.Encoder().encode


def json_response(value: Any, status: int = 200) -> Response:
    """A value as a JSON answer."""
    return Response(status, [_JSON], _encode(value))


def json_bytes(body: bytes, status: int = 200) -> Response:
    """Bytes that are JSON already, as an answer."""
    return Response(status, [_JSON], body)


def text_response(text: str, status: int = 200) -> Response:
    """Plain text as an answer."""
    return Response(status, [("content-type", "text/plain; charset=utf-8")], text.encode())


def decode_json(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body as the decoder's type.

    Errors: ``http.bad_json`` for anything that is not strict JSON of that shape: bare ``NaN``,
    numbers out of range, nesting beyond what the decoder follows, wrong types.
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(
            "http.bad_json",
            f"The body is not the JSON this address takes: {error}.",
            hint="NaN and Infinity are written as strings; see the API description.",
        ) from error
    except RecursionError as error:
        raise Invalid(
            "http.bad_json", "The JSON is nested too deeply.", hint="Send a flat document."
        ) from error
