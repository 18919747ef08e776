"""What a worker needs of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mainspring._adapters.sql.queue import SqlQueue

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.ports.queue import Queue


def queue_of(workspace: Workspace) -> Queue:
    """The jobs of the workspace."""
    return SqlQueue(workspace.database, workspace.clock)


def schedules_of(workspace: Workspace) -> dict[str, str]:
    """The pipelines that run by themselves, with their cron expressions in UTC."""
    declared = workspace.project.spec.pipelines
    return {name: one.schedule for name, one in declared.items() if one.schedule is not None}
