"""Fitting one model: choose parameters, fit, calibrate, choose the decision threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mainspring.core.schema import InputColumn
from mainspring.ports.tables import Frame
from mainspring.problem.types import HIGHER_IS_BETTER, Costs, Problem
from mainspring.training import decision, search
from mainspring.training.calibration import Calibration, Identity, calibrate
from mainspring.training.encoding import infer_columns
from mainspring.training.evaluation import Judging
from mainspring.training.gates import primary_metric
from mainspring.training.metrics import metric
from mainspring.training.ports import FittedModel, Learner, Parameters
from mainspring.training.search import Trial
from mainspring.training.table import TrainingTable
from mainspring.training.types import Training
from mainspring.training.vectors import Vector

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model with its calibration and decision, ready to be judged or packaged."""

    model: FittedModel
    columns: tuple[InputColumn, ...]
    learner: str
    parameters: dict[str, float | int | str | bool]
    calibration: Calibration
    decision: decision.Decision | None

    def predict(self, inputs: Frame) -> Vector:
        """Calibrated scores for a binary task, else values."""
        raw = np.asarray(self.model.predict(inputs), dtype=np.float64)
        return raw if isinstance(self.calibration, Identity) else self.calibration.apply(raw)

    def judging(self, spec: Training, problem: Problem) -> Judging:
        """How this model is judged: its own threshold, the project's costs and bootstrap."""
        return Judging(
            task=problem.task,
            threshold=self.decision.threshold if self.decision else 0.5,
            costs=problem.costs,
            draws=spec.bootstrap,
            seed=spec.seed,
        )


def fit(
    learner: Learner,
    table: TrainingTable,
    *,
    parameters: Parameters,
    seed: int,
    task: str,
    columns: tuple[InputColumn, ...] | None = None,
) -> tuple[FittedModel, tuple[InputColumn, ...]]:
    """A model of the table's rows; categories are those that the rows hold."""
    columns = columns or infer_columns(table.inputs, tuple(table.inputs), table.categorical)
    settings: dict[str, float | int | str | bool] = {**parameters, "task": task}
    model = learner.fit(table.inputs, table.target, columns=columns, parameters=settings, seed=seed)
    return model, columns


def complete(
    model: FittedModel,
    columns: tuple[InputColumn, ...],
    validation: TrainingTable,
    *,
    spec: Training,
    problem: Problem,
    learner: str,
    parameters: Parameters,
) -> Fitted:
    """The model with the calibration and the threshold that its validation rows teach.

    A calibrated probability is acted on where its expected costs balance; an uncalibrated score
    at the cut that was cheapest on the validation rows.
    """
    if problem.task != "binary":
        return Fitted(model, columns, learner, dict(parameters), Identity(), None)
    raw = np.asarray(model.predict(validation.inputs), dtype=np.float64)
    calibration = calibrate(spec.calibration, validation.target, raw)
    scores = calibration.apply(raw)
    choose = decision.by_cost if spec.calibration == "none" else decision.by_probability
    chosen = choose(validation.target, scores, problem.costs)
    return Fitted(model, columns, learner, dict(parameters), calibration, chosen)


def search_parameters(
    learner: Learner,
    train: TrainingTable,
    validation: TrainingTable,
    *,
    spec: Training,
    problem: Problem,
    progress: Progress,
) -> tuple[dict[str, float | int | str | bool], list[Trial]]:
    """The best parameters of the project's space on the validation rows, and every trial."""
    base: dict[str, float | int | str | bool] = dict(spec.parameters)
    if not spec.search.trials or not spec.search.space:
        return base, []
    name = spec.search.metric or primary_metric(problem)
    columns = infer_columns(train.inputs, tuple(train.inputs), train.categorical)
    state = search.start(
        spec.search.space,
        trials=spec.search.trials,
        seed=spec.seed,
        higher_is_better=HIGHER_IS_BETTER[name],
    )
    judging = Judging(task=problem.task, costs=problem.costs)
    while (asked := search.ask(state))[0] is not None:
        trial, state = asked
        settings = {**base, **trial.parameters}  # type: ignore[union-attr]
        model, _ = fit(
            learner, train, parameters=settings, seed=spec.seed, task=problem.task, columns=columns
        )
        value = metric(judging.measure(name), validation.target, model.predict(validation.inputs))
        state = search.tell(state, trial.number, value)  # type: ignore[union-attr]
        progress(f"trial {trial.number + 1} of {len(state.trials)}: {name} {value:.4f}")  # type: ignore[union-attr]
    best = state.best
    return {**base, **(best.parameters if best else {})}, list(state.trials)


def plain_cost(costs: Costs) -> Mapping[str, Any]:
    """The four cells of the confusion matrix, as a package carries them."""
    return {
        "false_negative": costs.false_negative,
        "false_positive": costs.false_positive,
        "true_positive": costs.true_positive,
        "true_negative": costs.true_negative,
        "unit": costs.unit,
    }
