"""What is told of each request beside its answer: a line in the access log, a span of a trace.

Neither costs anything when it is off. Source of ``traceparent``: W3C Trace Context, level 1.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mainspring._entrypoints._http.access_log import AccessLog

TRACEPARENT: Final = "traceparent"
_MOST_PATH: Final = 200
_SERVER_FAILED: Final = 500


class Span(Protocol):
    """A piece of work in a trace."""

    @property
    def traceparent(self) -> str:
        """How others refer to it."""
        ...

    def end(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        """Says how it ended, once."""
        ...


class Tracer(Protocol):
    """Where traces go."""

    def start(self, name: str, headers: Mapping[str, str]) -> Span:
        """A span, below the caller's own when the headers name one."""
        ...

    def close(self) -> None:
        """Sends what was not sent yet."""
        ...


@dataclass(slots=True)
class Told:
    """A request while it is answered."""

    at: float
    started: float
    span: Span | None


class Telling:
    """The access log and the tracer of a gateway, each if there is one."""

    def __init__(self, log: AccessLog | None = None, tracer: Tracer | None = None) -> None:
        self._log = log
        self._tracer = tracer

    @property
    def is_on(self) -> bool:
        """Whether anything is told at all."""
        return self._log is not None or self._tracer is not None

    @property
    def lost_lines(self) -> int:
        """Lines that the access log lost."""
        return 0 if self._log is None else self._log.lost_lines

    def begins(self, name: str | None, headers: Mapping[str, str]) -> Told | None:
        """A request that came in; ``name`` is its span's, None for what is not traced."""
        if not self.is_on:
            return None
        span = None
        if self._tracer is not None and name is not None:
            span = self._tracer.start(name, headers)
        return Told(time.time(), time.perf_counter(), span)

    def answered(self, told: Told, line: Mapping[str, Any]) -> None:
        """A request over REST that was answered: ``method``, ``path``, ``status`` and more."""
        facts: dict[str, str | int] = {
            "http.request.method": str(line["method"]),
            "url.path": str(line["path"])[:_MOST_PATH],
            "http.response.status_code": int(line["status"]),
        }
        self._ends(told, {"wire": "rest", **line}, facts, failed=line["status"] >= _SERVER_FAILED)

    def called(self, told: Told, line: Mapping[str, Any]) -> None:
        """A gRPC call that was answered: ``call``, ``code`` and more."""
        facts: dict[str, str | int] = {
            "rpc.system": "grpc",
            "rpc.method": str(line["call"]),
            "rpc.response.status_code": str(line["code"]),
        }
        failed = line["code"] in {"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
        self._ends(told, {"wire": "grpc", **line}, facts, failed=failed)

    def close(self) -> None:
        """Writes and sends what was taken."""
        if self._log is not None:
            self._log.close()
        if self._tracer is not None:
            self._tracer.close()

    def _ends(
        self,
        told: Told,
        line: dict[str, Any],
        facts: Mapping[str, str | int],
        *,
        failed: bool,
    ) -> None:
        if told.span is not None:
            told.span.end(facts, failed=failed)
        if self._log is not None:
            seconds = round(time.perf_counter() - told.started, 6)
            more = {"trace": told.span.traceparent.split("-")[1]} if told.span is not None else {}
            self._log.add(told.at, {**line, "seconds": seconds, **more})
