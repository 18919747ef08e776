"""Experiments in SQL."""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.errors import Conflict
from mainspring.ports.database import Reader, Row, Transaction
from mainspring.tracking.types import DEFAULT_EXPERIMENT, Experiment, View

COLUMNS: Final = "id, name, artifact_uri, created_ms, updated_ms, state, tags"
_tags = msgspec.json.Decoder(dict[str, str])
_MAX_DIGITS: Final = 18


def experiment_number(experiment_id: str) -> int | None:
    """The row of an experiment; None for a text that is no identifier of one."""
    if not (experiment_id.isascii() and experiment_id.isdigit()):
        return None
    return int(experiment_id) if len(experiment_id) <= _MAX_DIGITS else None


class SqlExperiments:
    """The experiment store."""

    def add(self, tx: Transaction, experiment: Experiment, root: str) -> Experiment:
        self._refuse_taken(tx, experiment.name, None)
        columns = COLUMNS.removeprefix("id, ")
        values = self._values(experiment)
        if experiment.id == DEFAULT_EXPERIMENT:
            values = (experiment.name, f"{root}/{DEFAULT_EXPERIMENT}", *values[2:])
            tx.run(f"INSERT INTO experiments (id, {columns}) VALUES (0,?,?,?,?,?,?)", values)
        else:
            tx.run(f"INSERT INTO experiments ({columns}) VALUES (?,?,?,?,?,?)", values)
        row = tx.one("SELECT id FROM experiments WHERE name = ?", (experiment.name,))
        number = row[0] if row else 0
        uri = experiment.artifact_uri or f"{root}/{number}"
        tx.run("UPDATE experiments SET artifact_uri = ? WHERE id = ?", (uri, number))
        return msgspec.structs.replace(experiment, id=str(number), artifact_uri=uri)

    def find(self, reader: Reader, experiment_id: str) -> Experiment | None:
        number = experiment_number(experiment_id)
        if number is None:
            return None
        row = reader.one(f"SELECT {COLUMNS} FROM experiments WHERE id = ?", (number,))
        return _experiment(row) if row else None

    def named(self, reader: Reader, name: str) -> Experiment | None:
        row = reader.one(f"SELECT {COLUMNS} FROM experiments WHERE name = ?", (name,))
        return _experiment(row) if row else None

    def save(self, tx: Transaction, experiment: Experiment) -> None:
        self._refuse_taken(tx, experiment.name, experiment.id)
        tx.run(
            "UPDATE experiments SET name = ?, artifact_uri = ?, created_ms = ?, updated_ms = ?, "
            "state = ?, tags = ? WHERE id = ?",
            (*self._values(experiment), int(experiment.id)),
        )

    def all(self, reader: Reader, view: View) -> list[Experiment]:
        where = "" if view == "all" else " WHERE state = ?"
        values = () if view == "all" else (view,)
        rows = reader.all(f"SELECT {COLUMNS} FROM experiments{where}", values)
        return [_experiment(row) for row in rows]

    def revive_runs(self, tx: Transaction, experiment_id: str) -> None:
        shelf = 2 * int(experiment_id)
        for table in ("runs", "latest", "run_terms"):
            tx.run(f"UPDATE {table} SET shelf = ? WHERE shelf = ?", (shelf, shelf + 1))

    def make_secret(self, tx: Transaction) -> None:
        tx.run(
            "INSERT INTO tracking_secret (id, secret) VALUES (1, ?) ON CONFLICT (id) DO NOTHING",
            (secrets.token_hex(32),),
        )

    def secret(self, reader: Reader) -> bytes:
        row = reader.one("SELECT secret FROM tracking_secret WHERE id = 1")
        return bytes.fromhex(row[0]) if row else b""

    def _refuse_taken(self, tx: Transaction, name: str, owner: str | None) -> None:
        found = self.named(tx, name)
        if found is not None and found.id != owner:
            state = "" if found.state == "active" else " and is deleted; restore it or"
            raise Conflict(
                "tracking.experiment_exists",
                f"An experiment named {name!r} exists already.",
                hint=f"It has the identifier {found.id}{state} choose another name."
                if state
                else "Choose another name, or use the one that exists.",
                experiment_id=found.id,
            )

    def _values(self, experiment: Experiment) -> Row:
        return (
            experiment.name,
            experiment.artifact_uri,
            experiment.created_ms,
            experiment.updated_ms,
            experiment.state,
            canonical_json(experiment.tags).decode(),
        )


def _experiment(row: Row) -> Experiment:
    return Experiment(
        id=str(row[0]),
        name=row[1],
        artifact_uri=row[2],
        created_ms=row[3],
        updated_ms=row[4],
        state=row[5],
        tags=_tags.decode(row[6]),
    )
