"""The heads of requests and answers: HTTP/1.1's lines from and to text.

Source: RFC 9110 (semantics) and RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from mainspring._entrypoints._http.messages import Headers

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LINES: Final = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n" for status in HTTPStatus
}
_MOST_NAMES: Final = 1024
_LONGEST_NAME: Final = 64
_names: dict[bytes, str] = {}


def field_name(raw: bytes) -> str:
    """A header's name in lower case. Names repeat, so a bounded number of short ones is remembered."""
    name = _names.get(raw)
    if name is None:
        name = raw.decode("latin-1").lower()
        if len(_names) < _MOST_NAMES and len(raw) <= _LONGEST_NAME:
            _names[raw] = name
    return name


def split_target(target: bytes) -> tuple[str | None, str, str]:
    """The authority of an absolute target, the path (decoded once), and the query as it came.

    Bytes that are no UTF-8 become U+FFFD, which no route takes.
    """
    text = target.decode("utf-8", "replace")
    authority = None
    if not text.startswith("/") and "://" in text:
        authority, slash, rest = text.partition("://")[2].partition("/")
        text = slash + rest if slash else "/"
    path, _, query = text.partition("?")
    return authority, unquote(path, errors="replace") if "%" in path else path, query


class _Clock:
    """The Date field, made once a second."""

    def __init__(self) -> None:
        self._at = 0
        self._line = ""

    def line(self) -> str:
        now = int(time.time())
        if now != self._at:
            self._at, self._line = now, f"date: {formatdate(now, usegmt=True)}\r\n"
        return self._line


_clock = _Clock()


def answer_head(status: int, headers: Headers, more: str) -> bytes:
    """The head of an answer; ``more``: further lines that the server itself adds.

    Errors: ``ValueError`` for a line break in a header, which would begin another one.
    """
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header of an answer holds a line break")
    line = _LINES.get(status) or f"HTTP/1.1 {status} Status\r\n"
    return f"{line}{lines}{_clock.line()}{more}\r\n".encode()


def refusal(status: int) -> bytes:
    """The answer to bytes that are no request."""
    return answer_head(status, [], "connection: close\r\ncontent-length: 0\r\n")
