"""What the work of a project is done with: the stages of one workspace, handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mainspring.data.service import Datasets
from mainspring.governance.service import Record
from mainspring.improvement.service import Loop
from mainspring.monitoring.service import Watch
from mainspring.pipelines.service import Executions
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database
from mainspring.ports.tables import Tables
from mainspring.projects.file import LoadedProject
from mainspring.projects.production import Production
from mainspring.projects.rows import FeatureRows
from mainspring.registry.service import Registry
from mainspring.training.service import Trainer

Progress = Callable[[str], None]


class SettableClock(Clock, Protocol):
    """A clock that a replay moves forward."""

    def set(self, moment: datetime) -> None:
        """Moves the time forward; a moment already past is ignored."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The stages of one workspace, as a project's own work uses them."""

    project: LoadedProject
    database: Database
    tables: Tables
    datasets: Datasets
    rows: FeatureRows
    trainer: Trainer
    registry: Registry
    executions: Executions
    watch: Watch
    loop: Loop
    record: Record
    production: Production
    clock: SettableClock
    progress: Progress
