"""Which handler answers a method and a path, and which right it asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from mainspring._entrypoints._http.messages import Answer, Request
from mainspring.core.errors import MainspringError

Permission = tuple[str, str]  # (resource, verb): ("runs", "write")
Handler = Callable[[Request], Answer]
ErrorEncoder = Callable[[MainspringError], tuple[int, bytes]]  # status and body

OPEN: Final[Permission] = ("open", "read")  # asked of nobody; only for the few public addresses
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
DEFAULT_BODY_LIMIT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a pattern, the handler that answers, and the right it takes.

    ``{name}`` in a pattern takes one segment, ``{name*}`` at the end takes the rest. ``inline``
    handlers run on the event loop and must not block (they may return a future); others run in
    the thread pool. A ``streams`` handler gets the body as ``request.chunks``, unread.
    ``content_types`` are those a POST body may have; JSON unless said.
    """

    method: str
    pattern: str
    handler: Handler
    permission: Permission
    body_limit_bytes: int = DEFAULT_BODY_LIMIT_BYTES
    inline: bool = False
    streams: bool = False
    content_types: tuple[str, ...] = ("application/json",)

    def __post_init__(self) -> None:
        if self.method not in METHODS or not self.pattern.startswith("/"):
            raise ValueError(f"{self.method} {self.pattern} is not a route")
        if len(self.permission) != 2 or not all(self.permission):  # noqa: PLR2004 - a pair
            raise ValueError(f"{self.method} {self.pattern} declares no permission")


@dataclass(frozen=True, slots=True)
class Mount:
    """Routes of one wire, and how that wire writes errors, also for unknown paths below."""

    routes: tuple[Route, ...]
    prefixes: tuple[str, ...] = ("/",)
    encode_error: ErrorEncoder | None = None
    error_type: str = "application/json"


@dataclass(slots=True)
class _Node:
    """The routes that share the segments so far."""

    children: dict[str, _Node] = field(default_factory=dict)
    one: tuple[str, _Node] | None = None
    rest: dict[str, tuple[tuple[str, ...], Route]] = field(default_factory=dict)
    here: dict[str, tuple[tuple[str, ...], Route]] = field(default_factory=dict)


Found = tuple[Route, dict[str, str]]


class Router:
    """Finds the route of a request: whole static paths by one look-up, patterns by segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._static: dict[tuple[str, str], Found] = {}
        self._root = _Node()
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if "{" not in route.pattern:
            if (route.method, route.pattern) in self._static:
                raise ValueError(f"{route.method} {route.pattern} is declared twice")
            self._static[route.method, route.pattern] = (route, {})
        node = self._root
        names: list[str] = []
        for part in route.pattern.split("/")[1:]:
            if part.endswith("*}"):
                node.rest[route.method] = ((*names, part[1:-2]), route)
                return
            if part.startswith("{"):
                names.append(part[1:-1])
                node.one = node.one or (part[1:-1], _Node())
                node = node.one[1]
            else:
                node = node.children.setdefault(part, _Node())
        node.here[route.method] = (tuple(names), route)

    def find(self, method: str, path: str) -> Found | None:
        """The route and the pattern's values; None when no route has this method and path."""
        if method == "HEAD":
            method = "GET"
        found = self._static.get((method, path))
        return found or self._walk(self._root, method, path.split("/")[1:], [])

    def methods(self, path: str) -> list[str]:
        """The methods that this path answers."""
        return sorted(method for method in METHODS if self.find(method, path))

    def _walk(self, node: _Node, method: str, parts: list[str], values: list[str]) -> Found | None:
        if not parts:
            if method not in node.here:
                return None
            names, route = node.here[method]
            return route, dict(zip(names, values, strict=True))
        part, tail = parts[0], parts[1:]
        if part in node.children:
            found = self._walk(node.children[part], method, tail, values)
            if found:
                return found
        if node.one and part:
            found = self._walk(node.one[1], method, tail, [*values, part])
            if found:
                return found
        if method in node.rest:
            names, route = node.rest[method]
            return route, dict(zip(names, [*values, "/".join(parts)], strict=True))
        return None


def describe(routes: Iterable[Route]) -> list[dict[str, Any]]:
    """Every route with its permission, for the API description and the tests of the doors."""
    return [
        {
            "method": route.method,
            "pattern": route.pattern,
            "resource": route.permission[0],
            "verb": route.permission[1],
        }
        for route in routes
    ]
