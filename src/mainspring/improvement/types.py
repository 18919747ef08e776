"""When to retrain and how to release, as a project declares them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mainspring.core.spec import DURATION_PATTERN, Duration, Name, Section
from mainspring.problem.types import MetricName


class Retraining(Section, frozen=True):
    """Which alerts, and which passage of time, ask for a challenger."""

    on_alerts: Annotated[
        tuple[Name, ...], Meta(description="Monitors whose alert asks for one.")
    ] = ()
    every: Annotated[
        str,
        Meta(
            pattern=rf"^(never|week|month)$(?!\n)|{DURATION_PATTERN}",
            description="At the latest so often: 'never', 'week', 'month', or such as '10d'.",
        ),
    ] = "never"
    cooldown: Annotated[Duration, Meta(description="Not sooner than this after the last.")] = "14d"
    window: Annotated[
        str,
        Meta(
            pattern=rf"^all$(?!\n)|{DURATION_PATTERN}",
            description="How much of the past to learn from: 'all', or such as '90d'.",
        ),
    ] = "all"


class Comparison(Section, frozen=True):
    """How challenger and champion are compared on labelled rows neither has learned from."""

    metric: Annotated[MetricName, Meta(description="By which metric the better one is found.")] = (
        "auc"
    )
    holdout: Annotated[Duration, Meta(description="The newest labelled stretch.")] = "14d"
    confidence: Annotated[
        float, Meta(gt=0, lt=1, description="How sure the comparison must be.")
    ] = 0.9
    margin: Annotated[float, Meta(description="Least improvement that counts.")] = 0.0
    refit: Annotated[
        bool, Meta(description="After winning, fit again with the held-back stretch included.")
    ] = True


class CanaryStep(Section, frozen=True):
    """A share of traffic for a stretch of time."""

    share: Annotated[float, Meta(gt=0, le=1, description="Share of the traffic.")]
    hold: Duration


class Release(Section, frozen=True):
    """The way from accepted challenger to champion."""

    shadow: Duration = "3d"
    canary: Annotated[
        tuple[CanaryStep, ...], Meta(description="Growing shares of traffic, each held for a time.")
    ] = ()
    worse_by: Annotated[
        float, Meta(ge=0, description="Shadow or canary is stopped when worse by more than this.")
    ] = 0.02
    min_rows: Annotated[int, Meta(ge=1, description="Labelled rows before a judgement.")] = 500
    approval: Annotated[
        Literal["none", "before_canary"], Meta(description="Where a person must say yes.")
    ] = "none"


class Replay(Section, frozen=True):
    """Which stretch of recorded history is played through the loop as if it were production."""

    history_until: Annotated[
        str, Meta(description="Where history ends and the replay begins: a date, or a UTC moment.")
    ]
    until: Annotated[str | None, Meta(description="Where it stops; the last row if absent.")] = None
