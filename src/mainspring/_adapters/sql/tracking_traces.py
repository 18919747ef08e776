"""Traces in SQL: the trace as a document, its terms, spans and assessments as rows to search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from mainspring._adapters.sql.fields import chunks, marks
from mainspring._adapters.sql.tracking_traces_search import search_traces
from mainspring._adapters.sql.tracking_traces_sources import FEW
from mainspring.ports.database import Reader, Row, Transaction
from mainspring.tracking.traces_ports import TraceHit, TraceQuery
from mainspring.tracking.traces_types import Assessment, Event, Link, Span, Trace
from mainspring.tracking.traces_values import as_text, from_json, to_json


class _Document(msgspec.Struct, omit_defaults=True):
    """What no search asks for."""

    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    request: str | None = None
    response: str | None = None


class _Rest(msgspec.Struct, omit_defaults=True):
    """A span without what its columns hold; values as :mod:`..traces_values` writes them."""

    parent: str = ""
    message: str = ""
    kind: int = 0
    flags: int = 0
    state: str = ""
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()


_encode = msgspec.json.Encoder().encode
_document = msgspec.json.Decoder(_Document).decode
_rest = msgspec.json.Decoder(_Rest).decode
_assessment = msgspec.json.Decoder(Assessment).decode
_TABLES = ("trace_terms", "trace_links", "spans", "assessments")


class SqlTraces:
    """:class:`mainspring.tracking.traces_ports.TraceStore` on SQLite and PostgreSQL."""

    def __init__(self, dialect: str, *, few: int = FEW) -> None:
        self._dialect = dialect
        self._few = few  # so many traces of one condition drive a search

    def save(self, tx: Transaction, trace: Trace) -> None:
        document = _Document(trace.metadata, trace.tags, trace.request, trace.response)
        tx.run(
            "INSERT INTO traces (uuid, experiment, start_ms, duration_ms, state, client_id, "
            "finished, document) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (uuid) DO UPDATE SET "
            "experiment = excluded.experiment, start_ms = excluded.start_ms, "
            "duration_ms = excluded.duration_ms, state = excluded.state, "
            "client_id = excluded.client_id, finished = excluded.finished, "
            "document = excluded.document",
            (
                trace.id,
                int(trace.experiment_id),
                trace.start_ms,
                trace.duration_ms,
                trace.state,
                trace.client_id,
                int(trace.finished),
                _encode(document).decode(),
            ),
        )
        number = _numbers(tx, [trace.id])[trace.id]
        terms = {f"t:{key}": value for key, value in trace.tags.items()}
        terms |= {f"m:{key}": value for key, value in trace.metadata.items()}
        tx.run("DELETE FROM trace_terms WHERE trace = ?", (number,))
        tx.many(
            "INSERT INTO trace_terms (trace, name, value) VALUES (?,?,?)",
            [(number, name, value) for name, value in terms.items()],
        )

    def find(self, reader: Reader, ids: Sequence[str]) -> list[Trace]:
        found: dict[str, Trace] = {}
        for part in chunks(ids):
            rows = reader.all(
                "SELECT id, uuid, experiment, start_ms, duration_ms, state, client_id, finished, "
                f"document FROM traces WHERE uuid IN ({marks(part)})",
                part,
            )
            judged = _assessments(reader, [row[0] for row in rows])
            found |= {row[1]: _trace(row, judged.get(row[0], ())) for row in rows}
        return [found[trace_id] for trace_id in ids if trace_id in found]

    def add_spans(self, tx: Transaction, trace_id: str, spans: Sequence[Span]) -> None:
        number = _numbers(tx, [trace_id])[trace_id]
        tx.many(
            "INSERT INTO spans (trace, span, name, type, status, start_ns, end_ns, attributes, "
            "document) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (trace, span) DO UPDATE SET "
            "name = excluded.name, type = excluded.type, status = excluded.status, "
            "start_ns = excluded.start_ns, end_ns = excluded.end_ns, "
            "attributes = excluded.attributes, document = excluded.document",
            [(number, *_span_row(span)) for span in spans],
        )

    def spans(self, reader: Reader, trace_id: str) -> list[Span]:
        rows = reader.all(
            "SELECT s.span, s.name, s.status, s.start_ns, s.end_ns, s.attributes, s.document "
            "FROM traces t JOIN spans s ON s.trace = t.id WHERE t.uuid = ? "
            "ORDER BY s.start_ns, s.span",
            (trace_id,),
        )
        return [_span(row) for row in rows]

    def search(self, reader: Reader, query: TraceQuery) -> list[TraceHit]:
        return search_traces(reader, query, self._dialect, few=self._few)

    def oldest(
        self, reader: Reader, experiment_id: str, *, until_ms: int | None, limit: int | None
    ) -> list[str]:
        until = "" if until_ms is None else " AND start_ms <= ?"
        some = "" if limit is None else " LIMIT ?"
        bound = [value for value in (until_ms, limit) if value is not None]
        rows = reader.all(
            f"SELECT uuid FROM traces WHERE experiment = ?{until} ORDER BY start_ms, uuid{some}",
            (int(experiment_id), *bound),
        )
        return [row[0] for row in rows]

    def remove(self, tx: Transaction, ids: Sequence[str]) -> None:
        for part in chunks(ids):
            numbers = list(_numbers(tx, part).values())
            if not numbers:
                continue
            for table in _TABLES:
                tx.run(f"DELETE FROM {table} WHERE trace IN ({marks(numbers)})", numbers)
            tx.run(f"DELETE FROM traces WHERE id IN ({marks(numbers)})", numbers)

    def link(self, tx: Transaction, ids: Sequence[str], targets: Sequence[str]) -> None:
        numbers = [number for part in chunks(ids) for number in _numbers(tx, part).values()]
        tx.many(
            "INSERT INTO trace_links (target, trace) VALUES (?,?) ON CONFLICT DO NOTHING",
            [(target, number) for target in targets for number in numbers],
        )

    def assess(self, tx: Transaction, trace_id: str, assessment: Assessment) -> None:
        value = assessment.value
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        tx.run(
            "INSERT INTO assessments (trace, id, kind, name, value, number, created_ms, document) "
            "VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (trace, id) DO UPDATE SET "
            "name = excluded.name, value = excluded.value, number = excluded.number, "
            "document = excluded.document",
            (
                _numbers(tx, [trace_id])[trace_id],
                assessment.id,
                assessment.kind,
                assessment.name,
                as_text(value),
                None if number is None else float(number),
                assessment.created_ms,
                _encode(assessment).decode(),
            ),
        )

    def withdraw(self, tx: Transaction, trace_id: str, assessment_id: str) -> None:
        tx.run(
            "DELETE FROM assessments WHERE trace IN (SELECT id FROM traces WHERE uuid = ?) "
            "AND id = ?",
            (trace_id, assessment_id),
        )


def _numbers(reader: Reader, ids: Sequence[str]) -> dict[str, int]:
    """The rows of traces by identifier."""
    return dict(reader.all(f"SELECT uuid, id FROM traces WHERE uuid IN ({marks(ids)})", ids))


def _assessments(reader: Reader, numbers: Sequence[int]) -> Mapping[int, tuple[Assessment, ...]]:
    if not numbers:
        return {}
    rows = reader.all(
        f"SELECT trace, document FROM assessments WHERE trace IN ({marks(numbers)}) "
        "ORDER BY created_ms, id",
        numbers,
    )
    found: dict[int, list[Assessment]] = {}
    for number, document in rows:
        found.setdefault(number, []).append(_assessment(document))
    return {number: tuple(some) for number, some in found.items()}


def _trace(row: Row, judged: Iterable[Assessment]) -> Trace:
    _, uuid, experiment, start_ms, duration_ms, state, client_id, finished, text = row
    return Trace(
        id=uuid,
        experiment_id=str(experiment),
        start_ms=start_ms,
        duration_ms=duration_ms,
        state=state,
        client_id=client_id,
        finished=bool(finished),
        assessments=tuple(judged),
        **asdict(_document(text)),
    )


def _span_row(span: Span) -> Row:
    rest = _Rest(
        span.parent,
        span.message,
        span.kind,
        span.flags,
        span.state,
        tuple(replace(one, attributes=_each(to_json, one.attributes)) for one in span.events),
        tuple(replace(one, attributes=_each(to_json, one.attributes)) for one in span.links),
    )
    attributes = _encode(_each(to_json, span.attributes)).decode()
    times = (span.start_ns, span.end_ns)
    return (span.id, span.name, span.type, span.status, *times, attributes, _encode(rest).decode())


def _span(row: Row) -> Span:
    span_id, name, status, start_ns, end_ns, attributes, document = row
    rest = _rest(document)
    return Span(
        id=span_id,
        name=name,
        status=status,
        start_ns=start_ns,
        end_ns=end_ns,
        parent=rest.parent,
        message=rest.message,
        kind=rest.kind,
        flags=rest.flags,
        state=rest.state,
        attributes=_each(from_json, msgspec.json.decode(attributes)),
        events=tuple(
            replace(one, attributes=_each(from_json, one.attributes)) for one in rest.events
        ),
        links=tuple(
            replace(one, attributes=_each(from_json, one.attributes)) for one in rest.links
        ),
    )


def _each(change: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: change(value) for key, value in attributes.items()}
