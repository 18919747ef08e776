"""What is watched, as a project declares it, and what a window of watching found."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mainspring.core.spec import Duration, Name, Ratio, Section
from mainspring.problem.types import MetricName


class Monitor(Section, frozen=True):
    """One watched number with the rule that turns it into an alert."""

    watch: Annotated[
        Literal["performance", "cost", "drift", "score_drift", "quality", "volume"],
        Meta(description="What is watched."),
    ]
    metric: Annotated[MetricName | None, Meta(description="For performance: which metric.")] = None
    at_least: Annotated[float | None, Meta(description="Alert below this.")] = None
    at_most: Annotated[float | None, Meta(description="Alert above this.")] = None
    drop: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="Alert when worse than the model's own evaluation by this much."),
    ] = None
    effect: Annotated[
        float, Meta(ge=0, le=1, description="Drift: smallest KS or JS distance that counts.")
    ] = 0.1
    significance: Annotated[float, Meta(gt=0, lt=1, description="Drift: false discovery rate.")] = (
        0.01
    )
    min_rows: Annotated[int, Meta(description="Fewer rows in a window are not judged.", ge=1)] = 300
    min_coverage: Annotated[Ratio, Meta(description="Share of rows with a label.")] = 0.8
    patience: Annotated[int, Meta(ge=1, description="Windows in a row before it alerts.")] = 1
    severity: Annotated[
        Literal["info", "warning", "page"], Meta(description="How loud the alert is.")
    ] = "warning"


class Monitoring(Section, frozen=True):
    """Window length and the monitors of an endpoint."""

    window: Duration = "7d"
    monitors: Annotated[dict[Name, Monitor], Meta(description="Name -> what is watched.")] = {}
