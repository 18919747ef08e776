"""Assessments of traces on the MLflow wire."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.mlflow.reading import body, missing
from mainspring._entrypoints.mlflow.routing import RUNS_READ, RUNS_WRITE, both
from mainspring._entrypoints.mlflow.traces_reading import AssessmentIn, assessment_of, content_of
from mainspring._entrypoints.mlflow.traces_writing import assessment
from mainspring._entrypoints.mlflow.writing import answer, empty
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.tracking import Assessments
from mainspring.tracking.traces_judging import Change


class _Assessment(msgspec.Struct):
    assessment: AssessmentIn | None = None
    update_mask: str | None = None


@dataclass(frozen=True, slots=True)
class AssessmentRoutes:
    """The handlers of ``traces/{id}/assessments/...``."""

    assessments: Assessments
    clock: Clock

    def routes(self) -> list[Route]:
        base = "/3.0/mlflow/traces/{trace_id}/assessments"
        one = f"{base}/{{assessment_id}}"
        return [
            *both("POST", base, self.create, RUNS_WRITE),
            *both("GET", one, self.get, RUNS_READ),
            *both("PATCH", one, self.change, RUNS_WRITE),
            *both("DELETE", one, self.withdraw, RUNS_WRITE),
        ]

    def create(self, request: Request) -> Response:
        asked = body(request, _Assessment).assessment
        if asked is None:
            raise missing("assessment")
        trace_id = request.params["trace_id"]
        made = assessment_of(asked, to_micros(self.clock.now()) // 1000)
        return answer({"assessment": assessment(trace_id, self.assessments.create(trace_id, made))})

    def get(self, request: Request) -> Response:
        trace_id, assessment_id = request.params["trace_id"], request.params["assessment_id"]
        found = self.assessments.get(trace_id, assessment_id)
        return answer({"assessment": assessment(trace_id, found)})

    def change(self, request: Request) -> Response:
        found = body(request, _Assessment)
        asked = found.assessment
        if asked is None:
            raise missing("assessment")
        wanted = _mask(found.update_mask)
        if wanted:
            named = {name: getattr(asked, name) for name in wanted & set(asked.__struct_fields__)}
            asked = AssessmentIn(**named)
        kind, value, error = content_of(asked)
        change = Change(
            name=asked.assessment_name,
            kind=kind,
            value=value,
            error=error,
            rationale=asked.rationale,
            metadata=asked.metadata,
        )
        trace_id, assessment_id = request.params["trace_id"], request.params["assessment_id"]
        changed = self.assessments.change(trace_id, assessment_id, change)
        return answer({"assessment": assessment(trace_id, changed)})

    def withdraw(self, request: Request) -> Response:
        self.assessments.withdraw(request.params["trace_id"], request.params["assessment_id"])
        return empty()


def _mask(text: str | None) -> set[str]:
    """The fields that a mask names, in snake case, whichever way they are written."""
    names = [name.strip().partition(".")[0] for name in (text or "").split(",")]
    return {re.sub(r"([A-Z])", r"_\1", name).lower() for name in names if name}
