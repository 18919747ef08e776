"""The whole of ``mainspring.toml`` as one frozen value."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from mainspring.core.spec import Name, Section
from mainspring.data.types import Dataset, Source
from mainspring.improvement.types import Comparison, Release, Replay, Retraining
from mainspring.monitoring.types import Monitoring
from mainspring.problem.types import Problem
from mainspring.serving.types import Endpoint
from mainspring.training.types import Gate, Training


class Step(Section, frozen=True):
    """One step of a pipeline: a built-in, or a function of the project as 'file.py:name'."""

    run: Annotated[str, Meta(description="A built-in step, or 'file.py:name'.")]
    needs: Annotated[tuple[Name, ...], Meta(description="Steps that come before.")] = ()
    parameters: Annotated[
        dict[str, str | int | float | bool], Meta(description="Passed to the step by name.")
    ] = {}


class Pipeline(Section, frozen=True):
    """A graph of steps, and when it runs by itself."""

    schedule: Annotated[str | None, Meta(description="Cron expression, UTC.")] = None
    steps: Annotated[dict[Name, Step], Meta(description="Name -> step.")] = {}


class Project(Section, frozen=True):
    """Name and description of the project."""

    name: Name
    description: Annotated[str, Meta(description="What it is about, in a sentence.")] = ""


class ProjectFile(Section, frozen=True):
    """``mainspring.toml``: what the project is, wants, reads, trains, serves, watches, improves."""

    project: Project
    problem: Problem
    sources: dict[Name, Source]
    datasets: dict[Name, Dataset]
    training: Training = msgspec.field(default_factory=Training)
    gates: tuple[Gate, ...] = ()
    pipelines: dict[Name, Pipeline] = {}
    endpoint: Endpoint | None = None
    monitoring: Monitoring = msgspec.field(default_factory=Monitoring)
    retraining: Retraining = msgspec.field(default_factory=Retraining)
    comparison: Comparison = msgspec.field(default_factory=Comparison)
    release: Release = msgspec.field(default_factory=Release)
    replay: Replay | None = None
    settings: dict[str, str | int | bool] = {}

    @property
    def model(self) -> str:
        """What the project's model is called, and its endpoint: as declared, or as the project."""
        return self.endpoint.name if self.endpoint else self.project.name
