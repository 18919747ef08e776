"""A replay of a project in its workspace, put together and run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from mainspring._adapters.clock import ReplayClock
from mainspring._bootstrap.gateway import running_gateway
from mainspring._bootstrap.projecting import opening_of, parts_of, production_of
from mainspring._bootstrap.workspace import Workspace
from mainspring.core.digest import Digest, digest_of
from mainspring.core.errors import Conflict, Invalid
from mainspring.core.events import Fact, ref
from mainspring.pipelines.service import Running
from mainspring.projects import events
from mainspring.projects.development import Development
from mainspring.projects.ending import Ending
from mainspring.projects.parts import Parts
from mainspring.projects.production import Gateway
from mainspring.projects.replay import Replay, begin_of
from mainspring.projects.report.page import render
from mainspring.projects.rows import FeatureRows
from mainspring.projects.summary import Summary

PIPELINE: Final = "replay"
REPORT: Final = "report.html"


def replay(workspace: Workspace, clock: ReplayClock, progress: Callable[[str], None]) -> Summary:
    """Plays the workspace's project through its loop, from wherever an earlier try stopped.

    ``clock`` is the one the workspace was opened with. Errors: those of every stage;
    ``projects.replay_of_another_definition`` when the project file changed since the replay began.
    """
    started = time.monotonic()
    project = workspace.project
    # Everything before the first day happens on its eve: the data has no other date to bear.
    clock.set(begin_of(project))
    running = workspace.executions.begin(PIPELINE, key=project.spec.project.name)
    running = _of_this_definition(running, workspace)
    opening = opening_of(workspace, progress)
    opening.announce()
    opening.ingest(running)
    rows = FeatureRows(workspace.tables, opening.build(running))
    with running_gateway(workspace) as gateway:
        parts = _parts(workspace, clock, rows, gateway, progress)
        played = Replay(parts, Development(parts), running)
        played.play()
        _complete(workspace, running)
        begin, end = played.stretch()
        summary = Ending(parts, begin, end).summary(seconds=time.monotonic() - started)
    return _write_report(workspace, summary)


def _complete(workspace: Workspace, running: Running) -> None:
    """Records the end, once: before the summary counts the events."""
    if running.execution.state == "done":
        return
    project = ref("project", workspace.project.spec.project.name)
    fact = Fact(kind=events.COMPLETED, subject=project)
    workspace.database.write(lambda tx: tx.announce(fact))
    running.end("done")


def _write_report(workspace: Workspace, summary: Summary) -> Summary:
    path = project_folder(workspace) / REPORT
    summary = msgspec.structs.replace(summary, report=str(path))
    path.write_text(render(summary), "utf-8")
    return summary


def project_folder(workspace: Workspace) -> Path:
    """Where the project file lies."""
    return workspace.project.folder


def _of_this_definition(running: Running, workspace: Workspace) -> Running:
    """The execution, once it is known to be of the project as it is now."""
    digest = workspace.project.digest
    found = running.step("definition", _key(running, "definition"), lambda: digest)
    if found != digest:
        raise Conflict(
            "projects.replay_of_another_definition",
            "mainspring.toml changed since this replay began.",
            hint="Change it back, or play it in a fresh workspace: --workspace DIR.",
        )
    return running


def _key(running: Running, name: str) -> Digest:
    return digest_of([running.execution.id, name])


def _parts(
    workspace: Workspace,
    clock: ReplayClock,
    rows: FeatureRows,
    gateway: Gateway,
    progress: Callable[[str], None],
) -> Parts:
    spec = workspace.project.spec
    if spec.endpoint is None:
        raise Invalid(
            "projects.no_endpoint",
            "The project has no endpoint to replay.",
            hint='Add [endpoint] with name = "..." to mainspring.toml.',
        )
    production = production_of(workspace, gateway)
    return parts_of(workspace, rows, progress, production=production, clock=clock)
