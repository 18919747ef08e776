"""Training: split, search, fit, calibrate, judge on held-back rows, pass the gates, fit again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.problem.types import MetricName, Problem
from mainspring.training.calibration import Calibration
from mainspring.training.decision import Decision
from mainspring.training.evaluation import Evaluation, evaluate
from mainspring.training.fitting import Fitted, Progress, complete, fit, search_parameters
from mainspring.training.gates import (
    Advantage,
    Verdict,
    advantage,
    beat_verdicts,
    guardrail_verdicts,
    metric_verdicts,
    primary_metric,
    slice_report,
)
from mainspring.training.ports import Learner
from mainspring.training.search import Trial
from mainspring.training.splits import Split, SplitSummary
from mainspring.training.table import TrainingTable, labelled, split
from mainspring.training.types import Gate, Training
from mainspring.training.vectors import Vector


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that a training run found, as plain values.

    ``evaluation`` and ``slices`` are of the model fitted without the validation and test rows,
    on the test rows. ``released_on`` counts the rows of the final fit.
    """

    task: str
    learner: str
    parameters: dict[str, float | int | str | bool]
    split: SplitSummary
    evaluation: Evaluation
    references: dict[str, Evaluation]
    advantages: list[Advantage]
    trials: list[Trial]
    slices: dict[str, list[dict[str, Any]]]
    verdicts: list[Verdict]
    decision: dict[str, Any] | None
    importance: dict[str, float]
    inputs: int
    released_on: int
    seed: int

    @property
    def passed(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def metrics(self) -> dict[str, float]:
        """The test metrics that have a value."""
        found = self.evaluation.metrics.items()
        return {name: one.value for name, one in found if one.value is not None}


@dataclass(frozen=True, slots=True)
class Trained:
    """A training run's models and its report.

    ``held_back`` never saw the test rows; ``final`` was fitted with the same parameters on every
    labelled row and carries the held-back model's calibration and decision.
    """

    held_back: Fitted
    final: Fitted
    report: Report
    test: TrainingTable
    test_scores: Vector
    sample: TrainingTable


@dataclass(frozen=True, slots=True)
class Champion:
    """What a challenger takes over from the version that is live."""

    parameters: dict[str, float | int | str | bool]
    calibration: Calibration
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class Trainer:
    """Trains by a project's rules with whichever learners are at hand."""

    learners: Mapping[str, Learner]

    def train(
        self,
        table: TrainingTable,
        *,
        spec: Training,
        problem: Problem,
        gates: Sequence[Gate] = (),
        until: datetime | None = None,
        progress: Progress = lambda _text: None,
    ) -> Trained:
        """A model of every row whose label is known by ``until``, and what held-back rows say.

        Errors: ``training.unknown_learner``, ``training.one_class``, ``training.split_empty``,
        ``training.no_rows``.
        """
        rows = _fit_to_learn(labelled(table, until), problem)
        parts = split(rows, spec.split, until=until)
        train, validation = rows.take(parts.train), rows.take(parts.validation)
        learner = self.learner(spec.learner)
        parameters, trials = search_parameters(
            learner, train, validation, spec=spec, problem=problem, progress=progress
        )
        progress(f"fitting {spec.learner} on {len(train):,} rows")
        model, columns = fit(
            learner, train, parameters=parameters, seed=spec.seed, task=problem.task
        )
        held_back = complete(
            model,
            columns,
            validation,
            spec=spec,
            problem=problem,
            learner=spec.learner,
            parameters=parameters,
        )
        progress("judging on held-back rows")
        references = self._references(train, validation, spec, problem)
        judged = _judge(held_back, references, rows.take(parts.test), spec, problem, gates)
        report = _report(held_back, judged, parts, trials, spec, problem, len(train))
        sample = rows.take(_spread(rows, 512))
        trained = Trained(held_back, held_back, report, judged.test, judged.scores, sample)
        return self.refit(trained, rows, spec=spec, problem=problem, progress=progress)

    def challenge(
        self,
        table: TrainingTable,
        *,
        champion: Champion,
        holdout: timedelta,
        spec: Training,
        problem: Problem,
        gates: Sequence[Gate] = (),
        until: datetime | None = None,
        progress: Progress = lambda _text: None,
    ) -> Trained:
        """The champion's recipe on newer rows, judged on the newest stretch, ``holdout``.

        Parameters, calibration and threshold are the champion's, so that no row is spent on
        choosing them; who beats the champion need not be compared with the references. It is not
        fitted again before it has won: ``final`` is the held-back model until :meth:`refit`, which
        with ``recalibrate`` also fits the calibration anew, on rows the model had not learned from.
        """
        rows = _fit_to_learn(labelled(table, until), problem)
        parts = split(rows, spec.split, until=until, holdout=holdout)
        train = rows.take(parts.train)
        progress(f"fitting {spec.learner} on {len(train):,} rows")
        model, columns = fit(
            self.learner(spec.learner),
            train,
            parameters=champion.parameters,
            seed=spec.seed,
            task=problem.task,
        )
        held_back = Fitted(
            model,
            columns,
            spec.learner,
            dict(champion.parameters),
            champion.calibration,
            champion.decision,
        )
        progress("judging on held-back rows")
        judged = _judge(held_back, {}, rows.take(parts.test), spec, problem, gates)
        report = _report(held_back, judged, parts, [], spec, problem, len(train))
        sample = rows.take(_spread(rows, 512))
        return Trained(held_back, held_back, report, judged.test, judged.scores, sample)

    def refit(
        self,
        trained: Trained,
        table: TrainingTable,
        *,
        spec: Training,
        problem: Problem,
        until: datetime | None = None,
        recalibrate: bool = False,
        progress: Progress = lambda _text: None,
    ) -> Trained:
        """The same with its final model fitted on every row whose label is known by ``until``."""
        rows, held_back = labelled(table, until), trained.held_back
        if recalibrate:
            held_back = complete(
                held_back.model,
                held_back.columns,
                trained.test,
                spec=spec,
                problem=problem,
                learner=held_back.learner,
                parameters=held_back.parameters,
            )
        progress(f"fitting once more on all {len(rows):,} labelled rows")
        model, columns = fit(
            self.learner(held_back.learner),
            rows,
            parameters=held_back.parameters,
            seed=spec.seed,
            task=problem.task,
        )
        final = replace(held_back, model=model, columns=columns)
        importance: dict[str, float] = getattr(model, "importance", dict)()
        report = msgspec.structs.replace(
            trained.report,
            decision=msgspec.to_builtins(final.decision) if final.decision else None,
            importance=dict(sorted(importance.items(), key=lambda item: -item[1])),
            released_on=len(rows),
        )
        return replace(trained, final=final, report=report)

    def learner(self, name: str) -> Learner:
        """The learner of that name."""
        if name not in self.learners:
            raise Invalid(
                "training.unknown_learner",
                f"There is no learner {name!r}.",
                hint=did_you_mean(name, self.learners),
                learner=name,
            )
        return self.learners[name]

    def _references(
        self, train: TrainingTable, validation: TrainingTable, spec: Training, problem: Problem
    ) -> dict[str, Fitted]:
        """The simple models that a model must beat: the baseline, and always the same answer."""
        wanted = {
            "baseline": (spec.baseline, spec.baseline_parameters),
            "constant": ("constant", {}),
        }
        found: dict[str, Fitted] = {}
        for role, (name, parameters) in wanted.items():
            learner = self.learner(name)
            model, columns = fit(
                learner, train, parameters=parameters, seed=spec.seed, task=problem.task
            )
            found[role] = complete(
                model,
                columns,
                validation,
                spec=spec,
                problem=problem,
                learner=name,
                parameters=parameters,
            )
        return found


@dataclass(frozen=True, slots=True)
class _Judged:
    test: TrainingTable
    scores: Vector
    evaluation: Evaluation
    references: dict[str, Evaluation]
    advantages: list[Advantage]
    verdicts: list[Verdict]


def _judge(
    model: Fitted,
    references: Mapping[str, Fitted],
    test: TrainingTable,
    spec: Training,
    problem: Problem,
    gates: Sequence[Gate],
) -> _Judged:
    scores = model.predict(test.inputs)
    clusters, judging = test.clusters(spec), model.judging(spec, problem)
    evaluation = evaluate(test.target, scores, clusters, judging=judging)
    others = {name: one.predict(test.inputs) for name, one in references.items()}
    names: set[MetricName] = {primary_metric(problem)}
    names |= {gate.metric for gate in gates if gate.beats and gate.metric}
    advantages = [
        advantage(
            name,
            over,
            test.target,
            (scores, predicted),
            clusters,
            judging=(judging, references[over].judging(spec, problem)),
        )
        for over, predicted in others.items()
        for name in sorted(names)
    ]
    found = {(one.over, str(one.metric)): one for one in advantages}
    verdicts = metric_verdicts(problem, gates, evaluation)
    verdicts += beat_verdicts(problem, gates, found) if references else []
    verdicts += guardrail_verdicts(problem.guardrails, test, scores, judging)
    told = {
        name: evaluate(
            test.target, predicted, clusters, judging=references[name].judging(spec, problem)
        )
        for name, predicted in others.items()
    }
    return _Judged(test, scores, evaluation, told, advantages, verdicts)


def _report(
    held_back: Fitted,
    judged: _Judged,
    parts: Split,
    trials: list[Trial],
    spec: Training,
    problem: Problem,
    released_on: int,
) -> Report:
    importance: dict[str, float] = getattr(held_back.model, "importance", dict)()
    judging = held_back.judging(spec, problem)
    return Report(
        task=problem.task,
        learner=held_back.learner,
        parameters=held_back.parameters,
        split=parts.summary,
        evaluation=judged.evaluation,
        references=judged.references,
        advantages=judged.advantages,
        trials=trials,
        slices=slice_report(
            spec.slices, judged.test, judged.scores, primary_metric(problem), judging
        ),
        verdicts=judged.verdicts,
        decision=msgspec.to_builtins(held_back.decision) if held_back.decision else None,
        importance=dict(sorted(importance.items(), key=lambda item: -item[1])),
        inputs=len(held_back.columns),
        released_on=released_on,
        seed=spec.seed,
    )


def _fit_to_learn(rows: TrainingTable, problem: Problem) -> TrainingTable:
    if len(rows) == 0:
        raise Invalid(
            "training.no_rows",
            "No row has a known label.",
            hint=f"Is the target {problem.target!r} empty, or are all labels still to come?",
            target=problem.target,
        )
    if problem.task == "binary":
        classes = np.unique(rows.target)
        if classes.size < 2:  # noqa: PLR2004 - a binary task has two
            raise Invalid(
                "training.one_class",
                f"The target {problem.target!r} is {classes[0]:g} in all {len(rows):,} rows.",
                hint="A model needs rows of both classes; check the target's definition.",
                target=problem.target,
            )
        if not np.isin(classes, (0.0, 1.0)).all():
            raise Invalid(
                "training.not_binary",
                f"The target {problem.target!r} holds {classes[:5].tolist()}, not only 0 and 1.",
                hint="Set 'target_sql' to a condition, or the task to 'regression'.",
                target=problem.target,
            )
    return rows


def _spread(rows: TrainingTable, count: int) -> Vector:
    """Positions of at most ``count`` rows spread evenly over the table."""
    return np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64))
