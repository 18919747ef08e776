"""A trace's spans as rows of a waterfall: in the order of the tree, each with its place in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from mainspring.tracking.traces_types import USAGE, Span, Trace

MAX_SPANS: Final = 500
MAX_INDENT: Final = 12
SCALE: Final = 1000.0  # the width of the drawing, in units of its own
_LEAST: Final = 4.0  # what is shorter is drawn so wide all the same
_NANOS: Final = 1e9
_MILLI: Final = 1e-3
_MICRO: Final = 1e-6
_SECOND: Final = 1.0


class Row(msgspec.Struct, frozen=True):
    """A span, how deep it lies, and where its bar begins and how wide it is."""

    span: Span
    depth: int
    left: float
    width: float

    @property
    def indent(self) -> int:
        return min(self.depth, MAX_INDENT)


def rows(spans: Sequence[Span]) -> list[Row]:
    """Every span once, children behind their parent by start; those without a parent are roots.

    A span whose parents lead in a circle is a root too. An open span lasts to the end.
    """
    if not spans:
        return []
    begins = min(span.start_ns for span in spans)
    ends = max(max(span.end_ns, span.start_ns) for span in spans)
    whole = max(ends - begins, 1)

    def row(span: Span, depth: int) -> Row:
        left = (span.start_ns - begins) / whole * SCALE
        width = max(((span.end_ns or ends) - span.start_ns) / whole * SCALE, _LEAST)
        left = max(0.0, min(left, SCALE - _LEAST))
        return Row(span, depth, round(left, 2), round(min(width, SCALE - left), 2))

    return [row(span, depth) for span, depth in _tree(spans)]


def _tree(spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    """Depth first, without recursion: a tree may be as deep as it has spans."""
    by_start = sorted(spans, key=lambda span: (span.start_ns, span.id))
    known = {span.id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in by_start:
        below.setdefault(span.parent if span.parent in known else "", []).append(span)
    seen: set[str] = set()
    for root in (*below.get("", ()), *by_start):  # who is left at last lies on a circle
        waiting = [(root, 0)]
        while waiting:
            span, depth = waiting.pop()
            if span.id in seen:
                continue
            seen.add(span.id)
            yield span, depth
            waiting += [(child, depth + 1) for child in reversed(below.get(span.id, ()))]


def lasted(nanoseconds: int) -> str:
    """A duration in the unit that suits it.

    Example:
        >>> lasted(1_234_567)
        '1.23 ms'
    """
    seconds = nanoseconds / _NANOS
    if seconds >= _SECOND:
        return f"{seconds:.2f} s"
    if seconds >= _MILLI:
        return f"{seconds / _MILLI:.3g} ms"
    return f"{seconds / _MICRO:.3g} µs"


def tokens(trace: Trace) -> int | None:
    """How many tokens its models read and wrote; None when nobody said."""
    try:
        found = msgspec.json.decode(trace.metadata.get(USAGE, ""))
    except msgspec.DecodeError:
        return None
    total = found.get("total_tokens") if isinstance(found, dict) else None
    return int(total) if isinstance(total, int | float) else None
