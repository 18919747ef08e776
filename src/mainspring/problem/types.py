"""What a project is for, as values: objective, question, target, metrics, guardrails, costs."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mainspring.core.spec import Column, Duration, Name, Section

Task = Literal["binary", "regression"]
MetricName = Literal["auc", "log_loss", "brier", "cost_per_1000", "mae", "rmse", "r2"]

HIGHER_IS_BETTER: dict[str, bool] = {
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

    name: Annotated[MetricName, Meta(description="The metric.")]
    at_least: Annotated[
        float | None, Meta(description="Floor, for a metric that is better when higher.")
    ] = None
    at_most: Annotated[
        float | None, Meta(description="Ceiling, for a metric that is better when lower.")
    ] = None


class Guardrail(Section, frozen=True):
    """A floor or ceiling that holds in every group, not only on average."""

    metric: Annotated[MetricName, Meta(description="The metric.")]
    group: Column
    at_least: Annotated[float | None, Meta(description="Floor in every group.")] = None
    at_most: Annotated[float | None, Meta(description="Ceiling in every group.")] = None
    min_rows: Annotated[int, Meta(ge=1, description="Smaller groups are not judged.")] = 500


class Costs(Section, frozen=True):
    """What each outcome of the decision costs, in one unit.

    Binary: the four cells of the confusion matrix. Regression: cost per unit of absolute error,
    separately when the prediction was too low and too high.
    """

    unit: Annotated[str, Meta(description="What the numbers count, such as EUR.")] = "cost units"
    false_negative: Annotated[float, Meta(description="Binary: a real case missed.", ge=0)] = 1.0
    false_positive: Annotated[float, Meta(description="Binary: a false alarm.", ge=0)] = 1.0
    true_positive: Annotated[float, Meta(description="Binary: a real case acted on.")] = 0.0
    true_negative: Annotated[float, Meta(description="Binary: a harmless case left alone.")] = 0.0
    under: Annotated[float, Meta(ge=0, description="Regression: per unit predicted too low.")] = 1.0
    over: Annotated[float, Meta(ge=0, description="Regression: per unit predicted too high.")] = 1.0


class Kpi(Section, frozen=True):
    """The business number that the model is meant to move."""

    name: Annotated[str, Meta(description="What the business calls it.")]
    unit: Annotated[str, Meta(description="What it counts.")] = ""
    description: Annotated[str, Meta(description="How it is measured, and by whom.")] = ""


class Problem(Section, frozen=True):
    """Why the model exists and what it predicts."""

    objective: Annotated[str, Meta(min_length=1, description="What the business wants.")]
    questions: Annotated[
        tuple[str, ...], Meta(min_length=1, description="The questions the model answers.")
    ]
    task: Annotated[Task, Meta(description="Yes or no, or a number.")]
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
    groups: Annotated[
        tuple[Column, ...], Meta(description="Columns by which results are always broken down.")
    ] = ()
    metrics: Annotated[
        tuple[SuccessMetric, ...], Meta(description="What is reported, and what must be reached.")
    ] = ()
    guardrails: Annotated[
        tuple[Guardrail, ...], Meta(description="What must hold in every group.")
    ] = ()
    costs: Costs = msgspec.field(default_factory=Costs)
    kpi: Annotated[Kpi | None, Meta(description="The business number that it shall move.")] = None
    out_of_scope: Annotated[tuple[str, ...], Meta(description="What the model is not for.")] = ()
