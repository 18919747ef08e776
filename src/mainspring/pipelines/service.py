"""Executions: begun once per key, each step done once, taken up again where they stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mainspring.core.digest import Digest
from mainspring.core.errors import MainspringError, NotFound
from mainspring.core.events import EventKind, Fact, ref
from mainspring.core.ids import ExecutionId, new_id
from mainspring.pipelines import codec, events
from mainspring.pipelines.ports import ExecutionStore
from mainspring.pipelines.steps import current
from mainspring.pipelines.types import Execution, State, StepRun
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.ports.objects import Objects


@dataclass(frozen=True, slots=True)
class Executions:
    """Executions of pipelines, and the results of their steps."""

    database: Database
    objects: Objects
    store: ExecutionStore
    clock: Clock

    def begin(
        self, pipeline: str, *, key: str = "", parameters: Mapping[str, Any] | None = None
    ) -> Running:
        """An execution to run steps in: the unfinished one under this key, else a new one.

        Without a key every call begins a new one.
        """
        now = self.clock.now()
        fresh = Execution(
            id=ExecutionId(new_id()),
            pipeline=pipeline,
            key=key,
            parameters=dict(parameters or {}),
            state="running",
            started=now,
        )

        def work(tx: Transaction) -> Execution:
            found = self.store.by_key(tx, pipeline, key) if key else None
            if found is None:
                self.store.create(tx, fresh)
                tx.announce(_fact(events.STARTED, fresh))
                return fresh
            if found.state != "done":
                self.store.end(tx, found.id, "running", now=now, error="")
                tx.announce(_fact(events.RESUMED, found))
            return found

        return Running(self, self.database.write(work))

    def show(self, id_: str) -> tuple[Execution, list[StepRun]]:
        """An execution and its steps. Errors: ``pipelines.execution_not_found``."""
        found = self.database.read(lambda db: self.store.get(db, ExecutionId(id_)))
        if found is None:
            raise NotFound(
                "pipelines.execution_not_found",
                f"There is no execution {id_!r}.",
                hint="List them with 'mainspring executions ls'.",
                execution=id_,
            )
        return found, self.database.read(lambda db: self.store.steps(db, found.id))

    def newest(self, pipeline: str | None = None, *, limit: int = 50) -> list[Execution]:
        """Executions, newest first."""
        return self.database.read(lambda db: self.store.newest(db, pipeline, limit=limit))

    def kept(self, key: Digest) -> tuple[Any] | None:
        """The result kept under a step's key, alone in a tuple; None when there is none."""
        address = self.database.read(lambda db: self.store.results(db, (key,))).get(key)
        if address is None or not self.objects.exists(address):
            return None
        return (codec.decode(self.objects.get(address)),)

    def run(
        self,
        pipeline: str,
        function: Callable[..., Any],
        *,
        key: str = "",
        parameters: Mapping[str, Any] | None = None,
    ) -> tuple[Execution, Any]:
        """Runs a ``@pipeline`` function: its steps are recorded, and kept results are reused."""
        running = self.begin(pipeline, key=key, parameters=parameters)
        token = current.set(running)
        try:
            result = function(**(parameters or {}))
        except BaseException as error:
            running.end("failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            current.reset(token)
        return running.end("done"), result


@dataclass(frozen=True, slots=True)
class Running:
    """An execution under way. Its steps run in the caller's thread, one after the other."""

    service: Executions
    execution: Execution

    def step(self, name: str, key: Digest, work: Callable[[], Any]) -> Any:
        """The result kept under the key, or that of the work, kept before it is returned.

        What the work writes elsewhere must be safe to write again: it runs at least once.
        """
        service = self.service
        kept = service.kept(key)
        if kept is not None:
            return kept[0]
        started = service.clock.monotonic_seconds()
        try:
            result = work()
        except MainspringError as error:
            self._record(name, key, "failed", started, error=str(error))
            raise
        address = service.objects.put(codec.encode(result))
        self._record(name, key, "done", started, result=address)
        return result

    def end(self, state: State, *, error: str = "") -> Execution:
        """The execution in its last state; ending it again changes nothing."""
        service, now = self.service, self.service.clock.now()

        def work(tx: Transaction) -> Execution:
            found = service.store.get(tx, self.execution.id)
            if found is not None and found.state == state:
                return found
            service.store.end(tx, self.execution.id, state, now=now, error=error)
            tx.announce(_fact(events.ENDED, self.execution, state=state, error=error))
            return service.store.get(tx, self.execution.id) or self.execution

        return service.database.write(work)

    def _record(
        self,
        name: str,
        key: Digest,
        state: State,
        started: float,
        *,
        result: Digest | None = None,
        error: str = "",
    ) -> None:
        service = self.service
        run = StepRun(
            execution=self.execution.id,
            number=0,
            name=name,
            key=key,
            state=state,
            cached=False,
            seconds=service.clock.monotonic_seconds() - started,
            result=result,
            error=error,
        )

        def work(tx: Transaction) -> None:
            service.store.record(tx, run)
            facts = {"step": name, "state": state, "seconds": run.seconds, "error": error}
            tx.announce(_fact(events.STEP_DONE, self.execution, **facts))

        service.database.write(work)


def _fact(kind: EventKind, execution: Execution, **facts: Any) -> Fact:
    subject = ref("execution", execution.id)
    told = {"pipeline": execution.pipeline, "key": execution.key, **facts}
    if kind == events.STARTED:
        return Fact(kind=kind, subject=subject, facts=told, generated=(subject,))
    return Fact(kind=kind, subject=subject, facts=told)
