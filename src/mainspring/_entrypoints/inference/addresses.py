"""Which methods each address of a gateway takes, for who asks by another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mainspring.core.errors import Invalid, MainspringError, NotFound

_ASKED: Final = ("GET", "HEAD")
_GIVEN: Final = ("POST",)


def nothing_at(method: str, path: str, parts: Sequence[str]) -> MainspringError:
    """The error for a request that nobody answers: the wrong method, or no such address."""
    known = _methods(parts)
    if known and method not in known:
        return Invalid(
            "http.method_not_allowed",
            f"{path[:200]} answers {', '.join(known)}, not {method[:20]}.",
            hint="Use one of these.",
            methods=list(known),
        )
    return NotFound(
        "http.no_such_address",
        f"There is nothing at {method[:20]} {path[:200]}.",
        hint="See the Open Inference Protocol, version 2, and /invocations.",
    )


def _methods(parts: Sequence[str]) -> tuple[str, ...]:
    match parts:
        case (
            ["invocations"]
            | ["endpoints", _, "invocations" | "outcomes" | "decisions"]
            | ["v2", "models", _, "infer"]
            | ["v2", "models", _, "versions", _, "infer"]
            | ["v2", "repository", "models", _, "load" | "unload"]
        ):
            return _GIVEN
        case (
            ["health" | "ready" | "ping" | "version" | "metrics"]
            | ["v2"]
            | ["v2", "health", "live" | "ready"]
            | ["v2", "models", _]
            | ["v2", "models", _, "ready" | "config" | "stats"]
            | ["v2", "models", _, "versions", _]
            | ["v2", "models", _, "versions", _, "ready" | "config" | "stats"]
        ):
            return _ASKED
        case ["v2", "repository", "index"]:
            return (*_ASKED, *_GIVEN)
    return ()
