"""How a model is trained, as a project declares it, and what a training run returns."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mainspring.core.spec import Column, Duration, Name, Ratio, Section
from mainspring.problem.types import MetricName

Learner = Annotated[
    str,
    Meta(
        description="'logistic', 'linear', 'gradient_boosting', 'constant', or a function of the "
        "project's Python file as 'file.py:name'."
    ),
]


class Split(Section, frozen=True):
    """Which rows are held back: the newest by time, or some by a hash of their key.

    A project file that names no method gets ``hash`` when its dataset has no time.
    """

    method: Annotated[
        Literal["time", "hash"],
        Meta(description="'time' holds back the newest rows, 'hash' some by their key."),
    ] = "time"
    validation: Annotated[
        Duration | None, Meta(description="By time: the newest stretch, used to choose.")
    ] = None
    test: Annotated[
        Duration | None, Meta(description="By time: the stretch after it, used to judge.")
    ] = None
    validation_share: Ratio = 0.2
    test_share: Ratio = 0.2


class Search(Section, frozen=True):
    """A small search over a learner's parameters, judged on the validation rows."""

    trials: Annotated[int, Meta(description="How many to try; 0: none.", ge=0, le=10_000)] = 0
    space: Annotated[
        dict[str, tuple[float | int | str, ...]], Meta(description="Parameter -> values to try.")
    ] = {}
    metric: Annotated[MetricName | None, Meta(description="By which metric the best is found.")] = (
        None
    )


class Training(Section, frozen=True):
    """Learners, split, search, calibration and evaluation."""

    features: Annotated[str, Meta(description="The project's feature set, as 'file.py:name'.")] = (
        "features.py:features"
    )
    learner: Learner = "gradient_boosting"
    baseline: Learner = "logistic"
    parameters: Annotated[
        dict[str, float | int | str | bool], Meta(description="The learner's parameters.")
    ] = {}
    baseline_parameters: Annotated[
        dict[str, float | int | str | bool], Meta(description="The baseline's parameters.")
    ] = {}
    split: Split = Split()
    search: Search = Search()
    calibration: Annotated[
        Literal["none", "isotonic", "sigmoid"], Meta(description="How scores become probabilities.")
    ] = "none"
    resample: Annotated[
        Literal["row", "day", "week"], Meta(description="What the bootstrap draws.")
    ] = "day"
    bootstrap: Annotated[int, Meta(ge=50, le=100_000, description="Draws.")] = 200
    slices: Annotated[
        tuple[Column, ...], Meta(description="Columns by which the evaluation is broken down.")
    ] = ()
    seed: Annotated[int, Meta(description="Of every random choice.")] = 20130101


class Gate(Section, frozen=True):
    """A condition that a version must meet before it is registered for release."""

    name: Name
    metric: Annotated[MetricName | None, Meta(description="The metric that decides.")] = None
    at_least: Annotated[float | None, Meta(description="Floor.")] = None
    at_most: Annotated[float | None, Meta(description="Ceiling.")] = None
    beats: Annotated[
        Literal["baseline", "constant"] | None,
        Meta(description="Must beat this reference on held-back rows, interval included."),
    ] = None
