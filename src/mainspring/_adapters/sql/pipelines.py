"""Executions and step results in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import msgspec

from mainspring.core.digest import Digest, canonical_json
from mainspring.core.ids import ExecutionId
from mainspring.core.time import from_micros, to_micros
from mainspring.pipelines.types import Execution, State, StepRun
from mainspring.ports.database import Reader, Row, Transaction

_COLUMNS = "id, pipeline, caller_key, parameters, state, started_micros, ended_micros, error"


class SqlExecutionStore:
    """:class:`mainspring.pipelines.ports.ExecutionStore` on SQLite and PostgreSQL."""

    def create(self, tx: Transaction, execution: Execution) -> None:
        tx.run(
            f"INSERT INTO executions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, NULL, '')",
            (
                execution.id,
                execution.pipeline,
                execution.key,
                canonical_json(execution.parameters).decode(),
                execution.state,
                to_micros(execution.started),
            ),
        )

    def by_key(self, reader: Reader, pipeline: str, key: str) -> Execution | None:
        row = reader.one(
            f"SELECT {_COLUMNS} FROM executions WHERE pipeline = ? AND caller_key = ? "
            "ORDER BY id DESC LIMIT 1",
            (pipeline, key),
        )
        return _execution(row) if row else None

    def get(self, reader: Reader, id_: ExecutionId) -> Execution | None:
        row = reader.one(f"SELECT {_COLUMNS} FROM executions WHERE id = ?", (id_,))
        return _execution(row) if row else None

    def newest(self, reader: Reader, pipeline: str | None, *, limit: int) -> list[Execution]:
        rows = reader.all(
            f"SELECT {_COLUMNS} FROM executions WHERE (CAST(? AS TEXT) IS NULL OR pipeline = ?) "
            "ORDER BY id DESC LIMIT ?",
            (pipeline, pipeline, limit),
        )
        return [_execution(row) for row in rows]

    def end(
        self, tx: Transaction, id_: ExecutionId, state: State, *, now: datetime, error: str
    ) -> None:
        ended = None if state == "running" else to_micros(now)
        tx.run(
            "UPDATE executions SET state = ?, ended_micros = ?, error = ? WHERE id = ?",
            (state, ended, error, id_),
        )

    def results(self, reader: Reader, keys: tuple[Digest, ...]) -> dict[Digest, Digest]:
        marks = ", ".join("?" for _ in keys)
        rows = reader.all(
            f"SELECT step_key, result FROM step_results WHERE step_key IN ({marks})", keys
        )
        return {Digest(key): Digest(result) for key, result in rows}

    def record(self, tx: Transaction, run: StepRun) -> None:
        tx.run(
            "INSERT INTO step_runs (execution, number, name, step_key, state, cached, seconds, "
            "result, error) SELECT ?, COALESCE(MAX(number), 0) + 1, ?, ?, ?, ?, ?, ?, ? "
            "FROM step_runs WHERE execution = ?",
            (
                run.execution,
                run.name,
                run.key,
                run.state,
                int(run.cached),
                run.seconds,
                run.result,
                run.error,
                run.execution,
            ),
        )
        if run.state == "done" and run.result is not None:
            tx.run(
                "INSERT INTO step_results (step_key, result) VALUES (?, ?) "
                "ON CONFLICT (step_key) DO UPDATE SET result = excluded.result",
                (run.key, run.result),
            )

    def steps(self, reader: Reader, id_: ExecutionId) -> list[StepRun]:
        rows = reader.all(
            "SELECT execution, number, name, step_key, state, cached, seconds, result, error "
            "FROM step_runs WHERE execution = ? ORDER BY number",
            (id_,),
        )
        return [
            StepRun(
                execution=ExecutionId(row[0]),
                number=row[1],
                name=row[2],
                key=Digest(row[3]),
                state=cast("State", row[4]),
                cached=bool(row[5]),
                seconds=row[6],
                result=None if row[7] is None else Digest(row[7]),
                error=row[8],
            )
            for row in rows
        ]


def _execution(row: Row) -> Execution:
    return Execution(
        id=ExecutionId(row[0]),
        pipeline=row[1],
        key=row[2],
        parameters=msgspec.json.decode(row[3]),
        state=cast("State", row[4]),
        started=from_micros(row[5]),
        ended=None if row[6] is None else from_micros(row[6]),
        error=row[7],
    )
