"""Where executions and step results are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from mainspring.core.digest import Digest
from mainspring.core.ids import ExecutionId
from mainspring.pipelines.types import Execution, State, StepRun
from mainspring.ports.database import Reader, Transaction


class ExecutionStore(Protocol):
    """Executions by id and by key; step results by key, shared by all executions."""

    def create(self, tx: Transaction, execution: Execution) -> None:
        """Keeps a new execution."""
        ...

    def by_key(self, reader: Reader, pipeline: str, key: str) -> Execution | None:
        """The newest execution of a pipeline under a caller's key."""
        ...

    def get(self, reader: Reader, id_: ExecutionId) -> Execution | None:
        """One execution."""
        ...

    def newest(self, reader: Reader, pipeline: str | None, *, limit: int) -> list[Execution]:
        """Executions, newest first."""
        ...

    def end(
        self, tx: Transaction, id_: ExecutionId, state: State, *, now: datetime, error: str
    ) -> None:
        """Marks an execution's state; ``running`` takes it up again."""
        ...

    def results(self, reader: Reader, keys: tuple[Digest, ...]) -> dict[Digest, Digest]:
        """Which of these step keys have a result, and its address: one query for all."""
        ...

    def record(self, tx: Transaction, run: StepRun) -> None:
        """Keeps a step run and, when it is done, its result under its key."""
        ...

    def steps(self, reader: Reader, id_: ExecutionId) -> list[StepRun]:
        """The step runs of an execution in the order they ended."""
        ...
