"""What a gateway counts, and how the counts of several processes become one.

Labels come from the route table only (endpoint, variant, version, model), and from closed sets
(statuses, kinds of errors), so their number is bounded by what was deployed, never by what
strangers send.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from mainspring.core.errors import Kind
from mainspring.serving.traffic import Variant

Key = tuple[str, str, str]  # endpoint, variant, version
EDGES: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
# Beyond this, counts of variants that are no longer served are forgotten.
_MOST_KEYS: Final = 1000


class Counts(msgspec.Struct):
    """What a variant did."""

    endpoint: str
    variant: str
    version: str
    requests: int = 0
    rows: int = 0
    dropped: int = 0
    fallbacks: int = 0
    seconds: float = 0.0
    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(EDGES) + 1))

    def add(self, other: Counts) -> None:
        """Takes another process's counts of the same variant in."""
        for name in ("requests", "rows", "dropped", "fallbacks", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]


class LaneCounts(msgspec.Struct):
    """What the batches of a model were like, and what waits for it now."""

    model: str
    role: str
    rows: int
    waiting_rows: int
    sizes: list[int]

    def add(self, other: LaneCounts) -> None:
        """Takes another process's counts of the same model in."""
        self.rows += other.rows
        self.waiting_rows += other.waiting_rows
        self.sizes = [a + b for a, b in zip(self.sizes, other.sizes, strict=True)]


class Snapshot(msgspec.Struct):
    """Everything that is counted, at one moment. Figures of processes add up, but for the least."""

    statuses: dict[str, int] = {}
    calls: dict[str, int] = {}
    errors: dict[str, dict[str, int]] = {}  # endpoint -> kind -> how many
    counts: list[Counts] = []
    lanes: list[LaneCounts] = []
    sums: dict[str, float] = {}
    leasts: dict[str, float] = {}

    def statistics(self, endpoint: str) -> Iterator[tuple[str, int, int, int]]:
        """Per version: its name, requests, rows, and nanoseconds in all."""
        for one in self.counts:
            if one.endpoint == endpoint:
                yield one.version, one.requests, one.rows, int(one.seconds * 1e9)


class Metrics:
    """Written by the event loop, read by it too: no locks."""

    def __init__(self) -> None:
        self._counts: dict[Key, Counts] = {}
        self._statuses: dict[int, int] = {}
        self._calls: dict[str, int] = {}
        self._errors: dict[tuple[str, Kind], int] = {}
        self.under_way = 0

    def answered_by(self, key: Key, rows: int, seconds: float) -> None:
        """Counts rows that a variant answered within a request that took so long."""
        counts = self._of(key)
        counts.requests += 1
        counts.rows += rows
        counts.seconds += seconds
        counts.buckets[bisect_left(EDGES, seconds)] += 1

    def answered(self, endpoint: str, variant: Variant, rows: int, seconds: float) -> None:
        """The same, by variant."""
        self.answered_by((endpoint, variant.name, variant.version), rows, seconds)

    def dropped(self, endpoint: str, variant: Variant, rows: int) -> None:
        """Counts rows that a shadow did not get, or failed on."""
        self._of((endpoint, variant.name, variant.version)).dropped += rows

    def fallback(self, endpoint: str, variant: Variant) -> None:
        """Counts a canary's request that the champion answered because the canary failed."""
        self._of((endpoint, variant.name, variant.version)).fallbacks += 1

    def status(self, status: int) -> None:
        """Counts a response by its HTTP status."""
        self._statuses[status] = self._statuses.get(status, 0) + 1

    def call(self, code: str) -> None:
        """Counts a gRPC call by its status code."""
        self._calls[code] = self._calls.get(code, 0) + 1

    def error(self, endpoint: str, kind: Kind) -> None:
        """Counts a question that an endpoint in service failed to answer, by the kind of error."""
        key = (endpoint, kind)
        self._errors[key] = self._errors.get(key, 0) + 1

    def forget(self, served: Iterable[Key]) -> None:
        """Drops the counts of what is not served any more, once there are very many."""
        if len(self._counts) > _MOST_KEYS:
            kept = set(served)
            self._counts = {key: one for key, one in self._counts.items() if key in kept}
            endpoints = {endpoint for endpoint, _, _ in kept}
            self._errors = {key: n for key, n in self._errors.items() if key[0] in endpoints}

    def snapshot(self) -> Snapshot:
        """The counts so far, without lanes and gauges."""
        errors: dict[str, dict[str, int]] = {}
        for (endpoint, kind), count in self._errors.items():
            errors.setdefault(endpoint, {})[kind] = count
        return Snapshot(
            statuses={str(status): count for status, count in self._statuses.items()},
            calls=dict(self._calls),
            errors=errors,
            counts=list(self._counts.values()),
            sums={"gateway_requests_under_way": self.under_way},
        )

    def _of(self, key: Key) -> Counts:
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = Counts(*key)
        return counts


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The snapshots of several processes as one of all."""
    whole = Snapshot()
    counts: dict[Key, Counts] = {}
    lanes: dict[tuple[str, str], LaneCounts] = {}
    for one in snapshots:
        _sum(whole.statuses, one.statuses)
        _sum(whole.calls, one.calls)
        for endpoint, kinds in one.errors.items():
            _sum(whole.errors.setdefault(endpoint, {}), kinds)
        for name, value in one.sums.items():
            whole.sums[name] = whole.sums.get(name, 0.0) + value
        for name, value in one.leasts.items():
            whole.leasts[name] = min(whole.leasts.get(name, value), value)
        for count in one.counts:
            key = (count.endpoint, count.variant, count.version)
            counts.setdefault(key, Counts(*key)).add(count)
        for lane in one.lanes:
            empty = LaneCounts(lane.model, lane.role, 0, 0, [0] * len(lane.sizes))
            lanes.setdefault((lane.model, lane.role), empty).add(lane)
    whole.counts, whole.lanes = list(counts.values()), list(lanes.values())
    return whole


def _sum(into: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        into[name] = into.get(name, 0) + count
