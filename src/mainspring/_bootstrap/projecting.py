"""The work of a workspace's own project, put together: pipelines, release, watching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring._bootstrap.endpoints import FolderGateway
from mainspring.core.errors import Conflict
from mainspring.projects.opening import Opening
from mainspring.projects.parts import Parts, SettableClock
from mainspring.projects.pipeline import Pipelines
from mainspring.projects.production import Gateway, Production
from mainspring.projects.rows import FeatureRows
from mainspring.projects.steps import BuiltIns
from mainspring.serving.model import load_model

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.ports.clock import Clock
    from mainspring.projects.scoring import Predictions
    from mainspring.projects.standing import Standing
    from mainspring.projects.watching import Watching

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LiveClock:
    """The workspace's clock where a replay's is asked for: real time moves by itself."""

    clock: Clock

    def now(self) -> datetime:
        return self.clock.now()

    def monotonic_seconds(self) -> float:
        return self.clock.monotonic_seconds()

    def set(self, moment: datetime) -> None:
        """Nothing: nobody sets the real time."""


def pipelines_of(workspace: Workspace, progress: Progress) -> Pipelines:
    """The pipelines of the workspace's project. Errors: ``project.not_found``."""
    built_ins = BuiltIns(
        opening_of(workspace, progress),
        workspace.executions,
        workspace.registry,
        lambda rows: parts_of(workspace, rows, progress),
        lambda: release(workspace),
        workspace.clock,
    )
    return Pipelines(workspace.project, workspace.executions, built_ins)


def opening_of(workspace: Workspace, progress: Progress) -> Opening:
    """The first half of every pipeline."""
    return Opening(
        workspace.project,
        workspace.database,
        workspace.datasets,
        workspace.features,
        workspace.governance,
        progress,
    )


def production_of(workspace: Workspace, gateway: Gateway | None = None) -> Production:
    """The endpoint of the workspace's project."""
    spec = workspace.project.spec
    return Production(
        database=workspace.database,
        tables=workspace.tables,
        registry=workspace.registry,
        gateway=gateway or FolderGateway(workspace),
        endpoint=spec.model,
        model=spec.model,
        problem=spec.problem,
        seed=spec.training.seed,
        entity=spec.endpoint.entity if spec.endpoint else (),
    )


def parts_of(
    workspace: Workspace,
    rows: FeatureRows,
    progress: Progress,
    *,
    production: Production | None = None,
    clock: SettableClock | None = None,
) -> Parts:
    """The stages that the project's own work uses; a replay brings its own gateway and clock."""
    return Parts(
        project=workspace.project,
        database=workspace.database,
        tables=workspace.tables,
        datasets=workspace.datasets,
        rows=rows,
        trainer=workspace.trainer,
        registry=workspace.registry,
        executions=workspace.executions,
        watch=workspace.watch,
        loop=workspace.loop,
        record=workspace.governance,
        production=production or production_of(workspace),
        clock=clock or LiveClock(workspace.clock),
        progress=progress,
    )


def release(workspace: Workspace) -> dict[str, Any]:
    """Brings the project's endpoint in line with its champion; what is served then.

    Errors: ``projects.nothing_to_deploy``.
    """
    gateway = FolderGateway(workspace)
    production, spec = production_of(workspace, gateway), workspace.project.spec
    before = gateway.routes().routes.get(production.endpoint)
    challenge = workspace.loop.current(production.endpoint)
    route = production.release(challenge, spec.release, frozen=None)
    if route is None:
        raise Conflict(
            "projects.nothing_to_deploy",
            f"No version of {production.model!r} is its champion yet.",
            hint="Train one with 'mainspring run train', or name one with "
            f"'mainspring models promote {production.model}/N'.",
        )
    if route != before:
        production.announce_release(route, "Brought in line with the champion.")
    return {
        "endpoint": production.endpoint,
        "version": int(route.champion.version),
        "changed": route != before,
        "running": gateway.url is not None,
    }


def predictions(workspace: Workspace, address: str, file: Path) -> Predictions:
    """The rows of a file, predicted offline by the version that the address names."""
    from mainspring._bootstrap.workspace import runtimes
    from mainspring.projects.scoring import chosen_version, predict_file

    return predict_file(
        workspace.project,
        opening_of(workspace, lambda _text: None).definition(),
        version=chosen_version(workspace.registry, address),
        file=file,
        features=workspace.features,
        load=lambda digest: load_model(digest, workspace.objects.get, runtimes(workspace.settings)),
    )


def watch_once(workspace: Workspace, progress: Progress, *, until_now: bool) -> Watching:
    """One pass of watching the project's endpoint, with the labels of the newest data."""
    from mainspring.projects.watching import Watcher

    watcher = Watcher(
        project=workspace.project,
        production=production_of(workspace),
        watch=workspace.watch,
        features=workspace.features,
        clock=workspace.clock,
        progress=progress,
    )
    return watcher.run(opening_of(workspace, progress).build(), until_now=until_now)


def standing_of(workspace: Workspace) -> Standing:
    """Where the loop of the workspace's project stands."""
    from mainspring.projects.standing import Looking

    gateway = FolderGateway(workspace)
    looking = Looking(
        project=workspace.project,
        datasets=workspace.datasets,
        registry=workspace.registry,
        watch=workspace.watch,
        loop=workspace.loop,
        clock=workspace.clock,
    )
    return looking.standing(gateway.routes(), gateway.url)
