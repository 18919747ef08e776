"""Which traces meet one condition, as far as an index knows: where a search for few begins.

A condition that an index answers is a source: a query for the numbers of its traces. The source
with the fewest, when it has few, drives the search; every other condition is asked of its traces
alone. When every source has many, walking the traces by time finds a page soon enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mainspring._adapters.sql.fields import marks
from mainspring._adapters.sql.tracking_conditions import PREFIX, Fragment
from mainspring.ports.database import Reader
from mainspring.tracking.filters import Clause
from mainspring.tracking.traces_types import NAME, RUN

FEW: Final = 2_000
_COMPARED: Final = frozenset({"=", "<", "<=", ">", ">="})
_RANGES: Final = _COMPARED - {"="}
_TERMS: Final = {"name": f"t:{NAME}"}
_SPANS: Final = {"name": "name", "type": "type"}


def driver(
    reader: Reader, clauses: Sequence[Clause], experiments: Sequence[int], few: int
) -> Fragment | None:
    """The source with the fewest traces; None when there is none, or each has more than ``few``.

    What it counts is bounded, whatever the filter.
    """
    best, fewest = None, few + 1
    for clause in clauses:
        source = _source(clause, experiments)
        if source is None:
            continue
        row = reader.one(
            f"SELECT count(*) FROM (SELECT 1 FROM ({source.sql}) u LIMIT ?) v",
            (*source.values, fewest),
        )
        count = row[0] if row else 0
        if count < fewest:
            best, fewest = source, count
        if not count:
            break
    return best


def _source(clause: Clause, experiments: Sequence[int]) -> Fragment | None:
    if clause.kind in {"tag", "metadata"}:
        return _terms(f"{clause.kind[0]}:{clause.key}", clause)
    if clause.kind in {"feedback", "expectation"}:
        return _judged(clause)
    if clause.kind == "span":
        return _spans(clause)
    if clause.key in _TERMS:
        return _terms(_TERMS[clause.key], clause)
    if clause.key in {"run_id", "prompt"}:
        return _linked(clause)
    return _of_trace(clause, experiments)


def _texts(clause: Clause) -> tuple[str, ...] | None:
    """The texts that a value may be; None for other comparisons."""
    if clause.op == "IN" and isinstance(clause.value, tuple):
        return clause.value
    if clause.op == "=" and isinstance(clause.value, str):
        return (clause.value,)
    return None


def _equal(column: str, texts: Sequence[str]) -> Fragment:
    """Equality by the indexed beginning; whoever searches asks the whole value again."""
    beginnings = tuple(text[:PREFIX] for text in texts)
    return Fragment(f"substr({column}, 1, {PREFIX}) IN ({marks(beginnings)})", beginnings)


def _terms(name: str, clause: Clause) -> Fragment | None:
    base = "SELECT trace FROM trace_terms WHERE name = ?"
    if clause.op == "IS NOT NULL":
        return Fragment(base, (name,))
    texts = _texts(clause)
    if texts is None:
        return None
    equal = _equal("value", texts)
    return Fragment(f"{base} AND {equal.sql}", (name, *equal.values))


def _judged(clause: Clause) -> Fragment | None:
    base = "SELECT trace FROM assessments WHERE kind = ? AND name = ?"
    named = (clause.kind, clause.key)
    if clause.op == "IS NOT NULL":
        return Fragment(base, named)
    if clause.op in _RANGES:
        return Fragment(f"{base} AND number {clause.op} ?", (*named, clause.value))
    texts = _texts(clause)
    if texts is None:
        return None
    equal = _equal("value", texts)
    return Fragment(f"{base} AND {equal.sql}", (*named, *equal.values))


def _spans(clause: Clause) -> Fragment | None:
    if (clause.key, clause.op, clause.value) == ("status", "=", "ERROR"):
        return Fragment("SELECT trace FROM spans WHERE status = 'ERROR'", ())
    texts = _texts(clause)
    if texts is None or clause.key not in _SPANS:
        return None
    equal = _equal(_SPANS[clause.key], texts)
    return Fragment(f"SELECT trace FROM spans WHERE {equal.sql}", equal.values)


def _linked(clause: Clause) -> Fragment | None:
    texts = _texts(clause)
    if texts is None:
        return None
    kind = "run:" if clause.key == "run_id" else "prompt:"
    targets = tuple(f"{kind}{text}" for text in texts)
    tied = Fragment(f"SELECT trace FROM trace_links WHERE target IN ({marks(targets)})", targets)
    made = _terms(f"m:{RUN}", clause) if clause.key == "run_id" else None
    if made is None:
        return tied
    return Fragment(f"{made.sql} UNION ALL {tied.sql}", (*made.values, *tied.values))


def _of_trace(clause: Clause, experiments: Sequence[int]) -> Fragment | None:
    texts = _texts(clause)
    if clause.key == "request_id" and texts is not None:
        return Fragment(f"SELECT id AS trace FROM traces WHERE uuid IN ({marks(texts)})", texts)
    if clause.key == "client_request_id" and texts is not None and all(texts):
        equal = _equal("client_id", texts)
        return Fragment(
            f"SELECT id AS trace FROM traces WHERE client_id <> '' AND {equal.sql}", equal.values
        )
    inside = f"SELECT id AS trace FROM traces WHERE experiment IN ({marks(experiments)})"
    if clause.key == "status" and texts is not None:
        return Fragment(f"{inside} AND state IN ({marks(texts)})", (*experiments, *texts))
    if clause.key == "execution_time_ms" and clause.op in _COMPARED:
        return Fragment(f"{inside} AND duration_ms {clause.op} ?", (*experiments, clause.value))
    return None
