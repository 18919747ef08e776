"""What traces need of a database. Every method works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from mainspring.ports.database import Reader, Transaction
from mainspring.tracking.filters import Clause, Order
from mainspring.tracking.traces_types import Assessment, Span, Trace


class TraceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces, in which order, after which sort key."""

    experiment_ids: tuple[str, ...]
    clauses: tuple[Clause, ...] = ()
    orders: tuple[Order, ...] = ()
    limit: int = 100
    after: tuple[Any, ...] | None = None


class TraceHit(msgspec.Struct, frozen=True):
    """A trace that a search found, with its sort key."""

    id: str
    key: tuple[Any, ...]


class TraceStore(Protocol):
    """Rows of traces, their spans, links and assessments."""

    def save(self, tx: Transaction, trace: Trace) -> None:
        """Stores a trace, new or changed, without its assessments."""
        ...

    def find(self, reader: Reader, ids: Sequence[str]) -> list[Trace]:
        """Those of the traces that there are, with their assessments, in the order asked for."""
        ...

    def add_spans(self, tx: Transaction, trace_id: str, spans: Sequence[Span]) -> None:
        """Stores spans of a trace that exists; one that is there already is replaced."""
        ...

    def spans(self, reader: Reader, trace_id: str) -> list[Span]:
        """The spans of a trace by start."""
        ...

    def search(self, reader: Reader, query: TraceQuery) -> list[TraceHit]:
        """The first ``limit`` traces that match, in order."""
        ...

    def oldest(
        self, reader: Reader, experiment_id: str, *, until_ms: int | None, limit: int | None
    ) -> list[str]:
        """The traces of an experiment, the oldest first."""
        ...

    def remove(self, tx: Transaction, ids: Sequence[str]) -> None:
        """Removes traces with all that belongs to them."""
        ...

    def link(self, tx: Transaction, ids: Sequence[str], targets: Sequence[str]) -> None:
        """Ties those of the traces that there are to each target; a tie is made once."""
        ...

    def assess(self, tx: Transaction, trace_id: str, assessment: Assessment) -> None:
        """Stores an assessment, new or changed, of a trace that exists."""
        ...

    def withdraw(self, tx: Transaction, trace_id: str, assessment_id: str) -> None:
        """Removes an assessment, if it is there."""
        ...
