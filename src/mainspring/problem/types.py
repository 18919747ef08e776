"""What a project is for, as values: objective, question, target, metrics, guardrails, costs."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mainspring.core.spec import Column, Duration, Name, Section

Task = Literal["binary", "regression"]
MetricName = Literal["auc", "log_loss", "brier", "cost_per_1000", "mae", "rmse", "r2"]

HIGHER_IS_BETTER: dict[MetricName, bool] = {
    "auc": True,
    "log_loss": False,
    "brier": False,
    "cost_per_1000": False,
    "mae": False,
    "rmse": False,
    "r2": True,
}
METRICS_OF_TASK: dict[Task, tuple[MetricName, ...]] = {
    "binary": ("auc", "log_loss", "brier", "cost_per_1000"),
    "regression": ("mae", "rmse", "r2", "cost_per_1000"),
}
METRIC_LIMITS: dict[MetricName, tuple[float, float]] = {
    "auc": (0.0, 1.0),
    "log_loss": (0.0, math.inf),
    "brier": (0.0, 1.0),
    "cost_per_1000": (-math.inf, math.inf),
    "mae": (0.0, math.inf),
    "rmse": (0.0, math.inf),
    "r2": (-math.inf, 1.0),
}


class SuccessMetric(Section, frozen=True):
    """A number that is reported, and that the model must reach before it may serve.

    With neither ``at_least`` nor ``at_most`` it is reported only.
    """

    name: MetricName
    at_least: float | None = None
    at_most: float | None = None


class Guardrail(Section, frozen=True):
    """A floor or ceiling that holds in every group, not only on average."""

    metric: MetricName
    group: Column
    at_least: float | None = None
    at_most: float | None = None
    min_rows: Annotated[int, Meta(ge=1, description="Smaller groups are not judged.")] = 500


class Costs(Section, frozen=True):
    """What each outcome of the decision costs, in one unit.

    Binary: the four cells of the confusion matrix. Regression: cost per unit of absolute error,
    separately when the prediction was too low and too high.
    """

    unit: str = "cost units"
    false_negative: Annotated[float, Meta(ge=0)] = 1.0
    false_positive: Annotated[float, Meta(ge=0)] = 1.0
    true_positive: float = 0.0
    true_negative: float = 0.0
    under: Annotated[float, Meta(ge=0, description="Regression: per unit predicted too low.")] = 1.0
    over: Annotated[float, Meta(ge=0, description="Regression: per unit predicted too high.")] = 1.0


class Kpi(Section, frozen=True):
    """The business number that the model is meant to move."""

    name: str
    unit: str = ""
    description: str = ""


class Problem(Section, frozen=True):
    """Why the model exists and what it predicts."""

    objective: Annotated[str, Meta(min_length=1, description="What the business wants.")]
    questions: Annotated[
        tuple[str, ...], Meta(min_length=1, description="The questions the model answers.")
    ]
    task: Task
    dataset: Annotated[Name, Meta(description="The dataset whose rows are predicted.")]
    target: Annotated[Column, Meta(description="The column (or its definition below) to predict.")]
    target_sql: Annotated[
        str | None, Meta(description="SQL over the dataset's row that gives the target.")
    ] = None
    predict_before: Annotated[
        Duration | None,
        Meta(description="How long before the dataset's time the prediction is made."),
    ] = None
    label_known_at: Annotated[
        Column | None, Meta(description="The column with the moment the label becomes known.")
    ] = None
    label_delay: Annotated[
        Duration | None, Meta(description="Or: the label is known this long after the row's time.")
    ] = None
    groups: tuple[Column, ...] = ()
    metrics: tuple[SuccessMetric, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    costs: Costs = msgspec.field(default_factory=Costs)
    kpi: Kpi | None = None
    out_of_scope: tuple[str, ...] = ()
