"""From a training run to a model package: manifest, files, and the facts of its card."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import timedelta
from importlib import metadata
from typing import Any, Final

import msgspec

from mainspring.core.digest import Digest, canonical_json, sha256
from mainspring.core.durations import parse_duration
from mainspring.core.errors import Conflict
from mainspring.core.events import Ref
from mainspring.core.schema import Signature
from mainspring.monitoring import reference
from mainspring.problem.types import Problem
from mainspring.registry.facts import DataUsed, Facts, Measured, Purpose, Verdict
from mainspring.registry.manifest import Decision, Manifest
from mainspring.registry.plan import Plan
from mainspring.serving.golden import GOLDEN_FILE, golden_bytes
from mainspring.serving.policy import POLICY_FILE, Capacity, CostPerRow, Policy
from mainspring.serving.types import Endpoint
from mainspring.training.fitting import plain_cost
from mainspring.training.service import Report, Trained

REFERENCE_FILE: Final = "reference.json"
REPORT_FILE: Final = "training.json"
LIBRARIES: Final = ("mainspring", "numpy", "lightgbm", "scikit-learn", "torch", "duckdb")
GOLDEN_ROWS: Final = 64
_AS_TRAINED: Final = Plan(
    way="native", why="the learner's own form, exact on its golden sample", tolerance=1e-9
)


def build_package(
    trained: Trained,
    *,
    name: str,
    problem: Problem,
    used: Iterable[Ref],
    run_id: str,
    feature_digest: str,
    trained_until: str | None,
    endpoint: Endpoint | None = None,
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the files of the final model.

    The reference of its drift is the test rows with the held-back model's scores: rows that the
    model that scored them had not learned from, as live rows are.
    ``endpoint`` declares the decision
    policy that the model is released with. Errors: ``projects.two_policies``.
    """
    final, report = trained.final, trained.report
    output = "probability" if problem.task == "binary" else "value"
    signature = Signature(final.columns, output)  # type: ignore[arg-type]
    files = dict(final.model.files())
    files[REPORT_FILE] = canonical_json(report)
    files[REFERENCE_FILE] = reference.build(
        trained.test.inputs, trained.test_scores, final.columns
    ).encode()
    policy = policy_of(endpoint, report, problem)
    if policy is not None:
        files[POLICY_FILE] = canonical_json(policy)
    sample = {k: v[:GOLDEN_ROWS] for k, v in trained.sample.inputs.items()}
    files[GOLDEN_FILE] = golden_bytes(signature, sample, final.predict(sample))
    manifest = Manifest(
        name=name,
        task=problem.task,
        runtime=final.model.runtime,
        signature=signature,
        files={path: _digest(data) for path, data in files.items()},
        calibration=_calibration(final.calibration),
        decision=_decision(report, problem),
        golden=GOLDEN_FILE,
        reference=REFERENCE_FILE,
        plan=_AS_TRAINED,
        feature_digest=feature_digest,
        used=tuple(used),
        run_id=run_id,
        trained_until=trained_until,
        seed=report.seed,
        metrics=report.metrics,
        environment=environment(),
    )
    return manifest, files


def build_facts(report: Report, problem: Problem, data: Iterable[DataUsed]) -> Facts:
    """What the model's card is made of."""
    return Facts(
        purpose=Purpose(
            objective=problem.objective,
            questions=problem.questions,
            target=problem.target_sql or problem.target,
            predict_before=problem.predict_before or "",
            kpi=problem.kpi.name if problem.kpi else "",
            out_of_scope=problem.out_of_scope,
        ),
        data=tuple(data),
        learner=report.learner,
        parameters=dict(report.parameters),
        metrics=tuple(_measured(report)),
        gates=tuple(
            Verdict(
                gate=one.gate,
                passed=one.passed,
                why=one.reason,
                value=one.observed,
                required=one.wanted,
            )
            for one in report.verdicts
        ),
        limits=problem.out_of_scope,
        notes={"split": msgspec.to_builtins(report.split), "released_on_rows": report.released_on},
    )


def _measured(report: Report) -> Iterable[Measured]:
    for name, one in report.evaluation.metrics.items():
        yield Measured(
            metric=name,
            value=one.value,
            low=one.low,
            high=one.high,
            confidence=one.confidence,
            rows=one.n,
        )
    for reference_name, evaluation in report.references.items():
        for name, one in evaluation.metrics.items():
            yield Measured(
                metric=name, value=one.value, low=one.low, high=one.high, reference=reference_name
            )
    for column, found in report.slices.items():
        for row in found:
            estimate = row["estimate"]
            if estimate is not None:
                yield Measured(
                    metric=_primary(report),
                    value=estimate["value"],
                    low=estimate["low"],
                    high=estimate["high"],
                    rows=row["n"],
                    group=f"{column}={row['group']}",
                )


def _primary(report: Report) -> str:
    return next(iter(report.evaluation.metrics), "")


def _decision(report: Report, problem: Problem) -> Decision | None:
    if report.decision is None:
        return None
    return Decision(threshold=report.decision["threshold"], **plain_cost(problem.costs))


def policy_of(endpoint: Endpoint | None, report: Report, problem: Problem) -> Policy | None:
    """What a project declares beyond a threshold. Errors: ``projects.two_policies``."""
    if endpoint is None or report.decision is None:
        return None
    if endpoint.capacity is not None and endpoint.cost_of_miss is not None:
        raise Conflict(
            "projects.two_policies",
            "The endpoint declares both a capacity and a cost of each miss.",
            hint="Keep one of 'capacity' and 'cost_of_miss' under [endpoint].",
        )
    costs = problem.costs
    if endpoint.cost_of_miss is not None:
        return CostPerRow(
            column=endpoint.cost_of_miss,
            false_positive=costs.false_positive,
            true_positive=costs.true_positive,
            true_negative=costs.true_negative,
        )
    if endpoint.capacity is None:
        return None
    return Capacity(
        threshold=report.decision["threshold"],
        most=endpoint.capacity,
        window_micros=parse_duration(endpoint.capacity_window) // timedelta(microseconds=1),
    )


def _calibration(calibration: Any) -> dict[str, Any] | None:
    plain: dict[str, Any] = msgspec.to_builtins(calibration)
    return None if plain.get("method") == "none" else plain


def _digest(data: bytes) -> Digest:
    return sha256(data)


def environment() -> dict[str, str]:
    """Python and the libraries that a model was made with."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
