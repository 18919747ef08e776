"""What a server answered: how often, with which status, in what time.

Labels are methods and patterns of the routes, never paths that strangers made up.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from mainspring._entrypoints._http.exposition import Exposition
from mainspring._entrypoints._http.routing import Route

EDGES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
UNKNOWN: Final = ("other", "unknown")


@dataclass(slots=True)
class _Route:
    statuses: dict[int, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    seconds: float = 0.0


class Counted:
    """Written by the event loop, read by it too: no locks."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], _Route] = {}
        self.under_way = 0

    def add(self, route: Route | None, status: int, seconds: float) -> None:
        """Counts an answer; ``route`` is None when there was none for it."""
        key = (route.method, route.pattern) if route else UNKNOWN
        counts = self._routes.get(key)
        if counts is None:
            counts = self._routes[key] = _Route()
        counts.statuses[status] = counts.statuses.get(status, 0) + 1
        counts.buckets[bisect_left(EDGES, seconds)] += 1
        counts.seconds += seconds

    def write(self, out: Exposition) -> None:
        """Adds the families of the server."""
        routes = [
            ([("method", method), ("route", pattern)], counts)
            for (method, pattern), counts in sorted(self._routes.items())
        ]
        out.family("http_responses_total", "counter", "Answers by route and status.")
        for labels, counts in routes:
            for status, count in sorted(counts.statuses.items()):
                out.sample("http_responses_total", [*labels, ("status", str(status))], count)
        name = "http_duration_seconds"
        out.family(name, "histogram", "Seconds from receipt to answer, streams without their body.")
        for labels, counts in routes:
            out.histogram(name, labels, zip(EDGES, counts.buckets, strict=False))
            out.ends(name, labels, sum(counts.buckets), counts.seconds)
        out.family("http_requests_under_way", "gauge", "Requests that are being answered.")
        out.sample("http_requests_under_way", [], self.under_way)
