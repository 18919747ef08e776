"""Use cases on assessments: what people, judges and code say of a trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from mainspring.core.errors import NotFound
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.tracking.limits import bad
from mainspring.tracking.traces import need_trace
from mainspring.tracking.traces_limits import check_assessment
from mainspring.tracking.traces_ports import TraceStore
from mainspring.tracking.traces_types import Assessment, Judgement, Trace


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """New content of an assessment; None leaves what is there.

    With a ``kind``, ``value`` and ``error`` replace what it said.
    """

    name: str | None = None
    kind: Judgement | None = None
    value: Any = None
    error: Mapping[str, str] = {}
    rationale: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Assessments:
    """Assessments of traces. Every change is one transaction."""

    database: Database
    store: TraceStore
    clock: Clock

    def create(self, trace_id: str, assessment: Assessment) -> Assessment:
        """The assessment, stored; one that it overrides is no longer valid.

        Errors: ``tracking.trace_not_found``, ``tracking.assessment_not_found``,
        ``tracking.bad_value``, also for an identifier that is taken.
        """
        check_assessment(assessment)

        def work(tx: Transaction) -> Assessment:
            trace = need_trace(self.store, tx, trace_id)
            if any(one.id == assessment.id for one in trace.assessments):
                raise bad(f"The assessment {assessment.id!r}", "is there already")
            if assessment.overrides:
                older = _need(trace, assessment.overrides)
                self.store.assess(tx, trace_id, replace(older, valid=False))
            self.store.assess(tx, trace_id, assessment)
            return assessment

        return self.database.write(work)

    def get(self, trace_id: str, assessment_id: str) -> Assessment:
        """One assessment. Errors: ``tracking.assessment_not_found``."""
        return self.database.read(
            lambda db: _need(need_trace(self.store, db, trace_id), assessment_id)
        )

    def change(self, trace_id: str, assessment_id: str, change: Change) -> Assessment:
        """The assessment with other content; metadata are added to what there is.

        Errors: ``tracking.assessment_not_found``; ``tracking.bad_value`` when a feedback should
        become an expectation, or the other way round.
        """

        def work(tx: Transaction) -> Assessment:
            found = _need(need_trace(self.store, tx, trace_id), assessment_id)
            if change.kind not in {None, found.kind}:
                raise bad(f"A value of kind {change.kind}", f"does not fit a {found.kind}")
            told = {"value": change.value, "error": dict(change.error)} if change.kind else {}
            changed = replace(
                found,
                name=found.name if change.name is None else change.name,
                rationale=found.rationale if change.rationale is None else change.rationale,
                metadata={**found.metadata, **(change.metadata or {})},
                updated_ms=to_micros(self.clock.now()) // 1000,
                **told,
            )
            self.store.assess(tx, trace_id, check_assessment(changed))
            return changed

        return self.database.write(work)

    def withdraw(self, trace_id: str, assessment_id: str) -> None:
        """Removes an assessment; one that it overrode is valid again. Twice is the same as once.

        Errors: ``tracking.trace_not_found``.
        """

        def work(tx: Transaction) -> None:
            trace = need_trace(self.store, tx, trace_id)
            found = next((one for one in trace.assessments if one.id == assessment_id), None)
            if found is None:
                return
            self.store.withdraw(tx, trace_id, assessment_id)
            for one in trace.assessments:
                if found.overrides and one.id == found.overrides:
                    self.store.assess(tx, trace_id, replace(one, valid=True))

        self.database.write(work)


def _need(trace: Trace, assessment_id: str) -> Assessment:
    for one in trace.assessments:
        if one.id == assessment_id:
            return one
    raise NotFound(
        "tracking.assessment_not_found",
        f"Assessment with ID '{assessment_id[:80]}' not found for trace '{trace.id}'.",
        hint="See the trace's assessments.",
        trace_id=trace.id,
    )
