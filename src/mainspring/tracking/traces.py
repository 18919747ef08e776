"""Use cases on traces: told by their client, told by their spans, found, tagged, removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from mainspring.core.actor import Actor
from mainspring.core.errors import NotFound
from mainspring.core.events import Fact, ref
from mainspring.core.pages import Page
from mainspring.ports.database import Database, Reader, Transaction
from mainspring.tracking import events, tokens
from mainspring.tracking.filters import TRACES, bad_filter, parse, parse_orders
from mainspring.tracking.limits import bad, check_integer
from mainspring.tracking.lookup import need_experiment, need_place
from mainspring.tracking.ports import ArtifactStore, ExperimentStore, RunStore
from mainspring.tracking.traces_limits import (
    check_id,
    check_span,
    check_tags,
    check_trace,
    fit_tags,
)
from mainspring.tracking.traces_ports import TraceQuery, TraceStore
from mainspring.tracking.traces_spans import expected_spans, from_spans, has_sums, sums
from mainspring.tracking.traces_types import ARTIFACTS, HERE, PLACE, SIZES, Incoming, Span, Trace

MAX_TRACES: Final = 500
MAX_LINKED: Final = 100
_SCHEME: Final = "mlflow-artifacts:/"
_UNORDERED: Final = frozenset({"text", "prompt"})


def need_trace(store: TraceStore, reader: Reader, trace_id: str) -> Trace:
    """The trace. Errors: ``tracking.trace_not_found``."""
    found = store.find(reader, [trace_id])
    if not found:
        raise NotFound(
            "tracking.trace_not_found",
            f"Trace with ID '{trace_id[:80]}' not found.",
            hint="Search for traces in their experiment.",
            trace_id=trace_id[:80],
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces and their spans. What a call acknowledged is durable."""

    database: Database
    store: TraceStore
    experiments: ExperimentStore
    runs: RunStore
    artifacts: ArtifactStore

    def start(self, trace: Trace) -> Trace:
        """The trace as its client tells it, beside what its spans told already.

        Errors: ``tracking.experiment_not_found``, ``tracking.experiment_deleted``,
        ``tracking.bad_value``.
        """
        checked = check_trace(trace)

        def work(tx: Transaction) -> Trace:
            experiment = need_experiment(self.experiments, tx, trace.experiment_id, live=True)
            place = {ARTIFACTS: _artifacts(experiment.artifact_uri, trace.id)}
            before = self.store.find(tx, [trace.id])
            made = replace(
                _together(before[0], checked) if before else checked, experiment_id=experiment.id
            )
            made = replace(made, tags={**made.tags, **place})
            self.store.save(tx, made)
            for assessment in checked.assessments:
                self.store.assess(tx, trace.id, assessment)
            return need_trace(self.store, tx, trace.id)

        return self.database.write(work)

    def record(self, experiment_id: str, spans: Iterable[Incoming], *, run_id: str = "") -> None:
        """Stores spans of any traces, all or none; a trace begins with its first span.

        With a ``run_id``, traces whose root is among the spans are tied to that run.
        Errors: ``tracking.experiment_not_found``, ``tracking.run_not_found``,
        ``tracking.bad_value``.
        """
        arrived: dict[str, list[Incoming]] = {}
        for one in spans:
            check_span(one.trace_id, one.span)
            arrived.setdefault(one.trace_id, []).append(one)

        def work(tx: Transaction) -> None:
            experiment = need_experiment(self.experiments, tx, experiment_id, live=True)
            for trace_id, some in arrived.items():
                place = _artifacts(experiment.artifact_uri, trace_id)
                self._record(tx, _begun(trace_id, experiment.id, place, some), some)
            if run_id:
                need_place(self.runs, tx, run_id, live=True)
                whole = [
                    key for key, some in arrived.items() if any(not i.span.parent for i in some)
                ]
                self.store.link(tx, whole, [f"run:{run_id}"])

        if arrived:
            self.database.write(work)

    def get(self, trace_id: str) -> Trace:
        """The trace without its spans. Errors: ``tracking.trace_not_found``."""
        return self.database.read(lambda db: need_trace(self.store, db, trace_id))

    def find(self, ids: Sequence[str]) -> list[Trace]:
        """Those of the traces that there are, in the order asked for."""
        if len(ids) > MAX_TRACES:
            raise bad("A request", f"can ask for at most {MAX_TRACES} traces")
        return self.database.read(lambda db: self.store.find(db, ids))

    def whole(self, trace_id: str, *, partial: bool = False) -> tuple[Trace, list[Span]]:
        """The trace with its spans.

        Errors: ``tracking.trace_not_found``; ``tracking.trace_not_whole`` while spans that its
        client announced are still missing, unless ``partial``.
        """

        def work(reader: Reader) -> tuple[Trace, list[Span]]:
            trace = need_trace(self.store, reader, trace_id)
            spans = self.store.spans(reader, trace_id)
            if not partial and not _is_whole(trace, spans):
                raise NotFound(
                    "tracking.trace_not_whole",
                    f"Trace with ID {trace_id} is not fully exported yet, please try again later.",
                    hint="Its spans are still on their way; ask again, or allow a partial answer.",
                    trace_id=trace_id,
                )
            return trace, spans

        return self.database.read(work)

    def search(
        self,
        experiment_ids: Sequence[str],
        text: str = "",
        *,
        order_by: Sequence[str] = (),
        limit: int = 100,
        token: str | None = None,
    ) -> Page[Trace]:
        """Traces of some experiments that match a filter, newest first unless said.

        Errors: ``tracking.bad_filter``, ``tracking.bad_token``, ``tracking.bad_value``.
        """
        if not 1 <= limit <= MAX_TRACES:
            raise bad("max_results", f"must be between 1 and {MAX_TRACES}, not {limit}")
        orders = parse_orders(order_by, TRACES)
        if any(order.kind == "attribute" and order.key in _UNORDERED for order in orders):
            raise bad_filter("cannot be sorted by text or prompt")
        query = TraceQuery(
            experiment_ids=tuple(experiment_ids),
            clauses=parse(text, TRACES),
            orders=orders,
            limit=limit + 1,
        )

        def work(reader: Reader) -> Page[Trace]:
            mark = ("traces", query.experiment_ids, query.clauses, query.orders)
            secret = self.experiments.secret(reader)
            after = tokens.read(secret, mark, token)
            hits = self.store.search(reader, replace(query, after=tuple(after)) if after else query)
            more = tokens.write(secret, mark, hits[limit - 1].key) if len(hits) > limit else None
            return Page(tuple(self.store.find(reader, [hit.id for hit in hits[:limit]])), more)

        return self.database.read(work)

    def delete(
        self,
        experiment_id: str,
        *,
        until_ms: int | None = None,
        limit: int | None = None,
        ids: Sequence[str] = (),
        actor: Actor | None = None,
    ) -> int:
        """Removes traces of an experiment for good, the oldest or the named; how many went.

        Errors: ``tracking.experiment_not_found``, ``tracking.bad_value`` unless either moments or
        names are given.
        """
        if bool(ids) == (until_ms is not None):
            raise bad("Either `max_timestamp_millis` or `trace_ids`", "must be specified, not both")
        if limit is not None and (ids or limit <= 0):
            raise bad("`max_traces`", "must be positive, and goes with `max_timestamp_millis`")
        for what, number in (("max_timestamp_millis", until_ms), ("max_traces", limit)):
            check_integer(what, number or 0)

        def work(tx: Transaction) -> int:
            experiment = need_experiment(self.experiments, tx, experiment_id)
            if ids:
                found = self.store.find(tx, list(dict.fromkeys(ids)))
                gone = [trace.id for trace in found if trace.experiment_id == experiment.id]
            else:
                gone = self.store.oldest(tx, experiment.id, until_ms=until_ms, limit=limit)
            for trace_id in gone:
                place = _artifacts(experiment.artifact_uri, trace_id)
                if place.startswith(_SCHEME):
                    tree = place.removeprefix(_SCHEME).rpartition("/")[0]
                    self.artifacts.remove(tx, tree)
            self.store.remove(tx, gone)
            if gone:
                subject = ref("experiment", experiment.id)
                facts = {"traces": len(gone)}
                tx.announce(
                    Fact(kind=events.TRACES_DELETED, subject=subject, facts=facts, actor=actor)
                )
            return len(gone)

        return self.database.write(work)

    def tag(self, trace_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags. Errors: ``tracking.trace_not_found``, ``tracking.bad_value``."""
        checked = check_tags(tags)

        def work(tx: Transaction) -> None:
            trace = need_trace(self.store, tx, trace_id)
            self.store.save(tx, replace(trace, tags={**trace.tags, **checked}))

        self.database.write(work)

    def untag(self, trace_id: str, key: str) -> None:
        """Removes a tag. Errors: ``tracking.tag_not_found``."""

        def work(tx: Transaction) -> None:
            trace = need_trace(self.store, tx, trace_id)
            if key not in trace.tags:
                raise NotFound(
                    "tracking.tag_not_found",
                    f"No trace tag with key '{key[:80]}' for trace with ID '{trace_id}'.",
                    hint="See the trace's tags.",
                )
            left = {name: value for name, value in trace.tags.items() if name != key}
            self.store.save(tx, replace(trace, tags=left))

        self.database.write(work)

    def link(self, trace_ids: Sequence[str], run_id: str) -> None:
        """Ties traces to a run. Errors: ``tracking.run_not_found``, ``tracking.bad_value``."""
        if len(trace_ids) > MAX_LINKED:
            raise bad(f"More than {MAX_LINKED} traces", "cannot be linked to a run in one request")

        def work(tx: Transaction) -> None:
            place = need_place(self.runs, tx, run_id, live=True)
            self.store.link(tx, trace_ids, [f"run:{place.run_id}"])

        self.database.write(work)

    def link_prompts(self, trace_id: str, prompts: Sequence[str]) -> None:
        """Ties versions of prompts (``name/version``) to a trace. Errors: ``tracking.bad_value``."""
        targets = [f"prompt:{check_id('a prompt version', prompt)}" for prompt in prompts]

        def work(tx: Transaction) -> None:
            trace = need_trace(self.store, tx, trace_id)
            self.store.link(tx, [trace.id], targets)

        self.database.write(work)

    # -- inside ---------------------------------------------------------------------------------

    def _record(self, tx: Transaction, fresh: Trace, some: Sequence[Incoming]) -> None:
        before = self.store.find(tx, [fresh.id])
        trace = before[0] if before else fresh
        spans = [one.span for one in some]
        resource = {key: value for one in reversed(some) for key, value in one.resource.items()}
        changed = from_spans(trace, spans, resource)
        changed = replace(changed, tags=fit_tags(changed.tags), metadata=fit_tags(changed.metadata))
        if has_sums(spans) and not trace.finished:
            known = self.store.spans(tx, trace.id) if before else []
            told = sums(list({span.id: span for span in (*known, *spans)}.values()))
            changed = replace(changed, metadata={**changed.metadata, **told})
        self.store.save(tx, changed)
        self.store.add_spans(tx, trace.id, spans)


def _begun(trace_id: str, experiment_id: str, place: str, some: Sequence[Incoming]) -> Trace:
    """A trace of which nothing is known but its first spans."""
    start_ms = min(one.span.start_ns for one in some) // 1_000_000
    return Trace(
        id=trace_id,
        experiment_id=experiment_id,
        start_ms=start_ms,
        state="IN_PROGRESS",
        tags={ARTIFACTS: place},
    )


def _together(before: Trace, told: Trace) -> Trace:
    """What the client tells, over what is known; what it leaves out stays."""
    return replace(
        told,
        request=before.request if told.request is None else told.request,
        response=before.response if told.response is None else told.response,
        tags={**before.tags, **told.tags},
        metadata={**before.metadata, **told.metadata},
    )


def _artifacts(root: str, trace_id: str) -> str:
    return f"{root.rstrip('/')}/traces/{trace_id}/artifacts"


def _is_whole(trace: Trace, spans: Sequence[Span]) -> bool:
    if trace.tags.get(PLACE) != HERE:
        return True  # its spans are a file among its artifacts
    return bool(spans) and len(spans) >= expected_spans(trace.metadata.get(SIZES, ""))
