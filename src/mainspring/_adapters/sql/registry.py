"""The registry's storage in SQL, the same statements on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mainspring._adapters.sql import registry_rows as rows
from mainspring._adapters.sql.registry_search import MODELS, VERSIONS, Dialect, tail
from mainspring.core.errors import Conflict
from mainspring.core.time import to_micros
from mainspring.ports.database import Reader, Transaction
from mainspring.registry.names import MAX_VERSION, name_key
from mainspring.registry.query import Query
from mainspring.registry.types import Change, Model, Move, Version

_JOINED = "FROM model_versions v JOIN models m ON m.id = v.model_id"
_LIVE = {False: "IS NULL", True: "IS NOT NULL"}


class SqlRegistry:
    """Rows of models, versions, aliases and histories, in the caller's transaction."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect: Dialect = dialect

    # -- models ---------------------------------------------------------------------------------

    def find_model(self, reader: Reader, name: str, *, deleted: bool = False) -> Model | None:
        found = reader.all(
            f"SELECT {rows.MODEL} FROM models m WHERE m.name = ? "
            f"AND m.deleted_micros {_LIVE[deleted]} ORDER BY m.deleted_micros DESC, m.id DESC "
            "LIMIT 1",
            (name,),
        )
        return rows.to_models(reader, found)[0] if found else None

    def save_model(self, tx: Transaction, model: Model) -> Model:
        if model.deleted is None:
            _refuse_twin(tx, model)
        values = [
            model.name,
            name_key(model.name),
            model.description,
            to_micros(model.created),
            to_micros(model.updated),
            rows.micros(model.deleted),
            int(model.purged),
        ]
        id_ = model.id
        if id_:
            _take_name(tx, model)
            tx.run(
                "UPDATE models SET name = ?, name_key = ?, description = ?, created_micros = ?, "
                "updated_micros = ?, deleted_micros = ?, purged = ? WHERE id = ?",
                [*values, id_],
            )
        else:
            id_ = tx.all(
                "INSERT INTO models (name, name_key, description, created_micros, updated_micros, "
                "deleted_micros, purged) VALUES (?,?,?,?,?,?,?) RETURNING id",
                values,
            )[0][0]
            _own_name(tx, model.name, id_)
        tx.run("DELETE FROM model_tags WHERE model_id = ?", (id_,))
        tx.many(
            "INSERT INTO model_tags (model_id, tag, value) VALUES (?,?,?)",
            [(id_, tag, value) for tag, value in model.tags.items()],
        )
        stored = tx.all(f"SELECT {rows.MODEL} FROM models m WHERE m.id = ?", (id_,))
        return rows.to_models(tx, stored)[0]

    def search_models(self, reader: Reader, query: Query) -> list[Model]:
        where, values = tail(MODELS, query, self._dialect)
        return rows.to_models(
            reader,
            reader.all(
                f"SELECT {rows.MODEL} FROM models m WHERE "
                f"m.deleted_micros {_LIVE[query.deleted]} AND {where}",
                values,
            ),
        )

    # -- versions -------------------------------------------------------------------------------

    def find_version(
        self, reader: Reader, model: Model, number: int, *, deleted: bool = False
    ) -> Version | None:
        if not 0 < number <= MAX_VERSION:
            return None
        found = reader.all(
            f"SELECT {rows.VERSION} {_JOINED} WHERE v.model_id = ? AND v.number = ? "
            f"AND v.deleted_micros {_LIVE[deleted]}",
            (model.id, number),
        )
        return rows.to_versions(reader, found)[0] if found else None

    def add_version(self, tx: Transaction, version: Version) -> tuple[Version, bool]:
        if version.key is not None:
            found = tx.all(
                f"SELECT {rows.VERSION} {_JOINED} WHERE v.model_id = ? AND v.version_key = ?",
                (version.model_id, version.key),
            )
            if found:
                return rows.to_versions(tx, found)[0], False
        number = tx.all(
            "UPDATE model_names SET last_number = last_number + 1 WHERE name = ? "
            "RETURNING last_number",
            (version.name,),
        )[0][0]
        values = rows.version_values(version)
        values[1] = number
        values[rows.COLUMNS.index("registered_as")] = f"{version.name}/{number}"
        tx.run(
            f"INSERT INTO model_versions ({', '.join(rows.COLUMNS)}) "
            f"VALUES ({','.join('?' * len(values))})",
            values,
        )
        _save_tags(tx, version, number)
        return self._reread(tx, version.model_id, number), True

    def save_version(self, tx: Transaction, version: Version, change: Change | None = None) -> None:
        pairs = zip(rows.COLUMNS[2:], rows.version_values(version)[2:], strict=True)
        columns, values = zip(*pairs, strict=True)
        tx.run(
            f"UPDATE model_versions SET {', '.join(f'{column} = ?' for column in columns)} "
            "WHERE model_id = ? AND number = ?",
            [*values, version.model_id, version.number],
        )
        _save_tags(tx, version, version.number)
        if change is not None:
            tx.run(
                f"INSERT INTO version_changes (model_id, number, {rows.CHANGE}) "
                "VALUES (?,?,?,?,?,?,?,?,?,?)",
                [version.model_id, version.number, *rows.change_values(change)],
            )

    def search_versions(self, reader: Reader, query: Query) -> list[Version]:
        where, values = tail(VERSIONS, query, self._dialect)
        live = "m.deleted_micros IS NULL AND v.deleted_micros IS NULL"
        gone = "(m.deleted_micros IS NOT NULL OR v.deleted_micros IS NOT NULL)"
        return rows.to_versions(
            reader,
            reader.all(
                f"SELECT {rows.VERSION} {_JOINED} WHERE {gone if query.deleted else live} "
                f"AND {where}",
                values,
            ),
        )

    def changes(self, reader: Reader, version: Version) -> list[Change]:
        found = reader.all(
            f"SELECT {rows.CHANGE} FROM version_changes WHERE model_id = ? AND number = ? "
            "ORDER BY event_sequence",
            (version.model_id, version.number),
        )
        return [rows.to_change(row) for row in found]

    def numbers(self, reader: Reader, model: Model) -> list[int]:
        found = reader.all(
            "SELECT number FROM model_versions WHERE model_id = ? ORDER BY number", (model.id,)
        )
        return [row[0] for row in found]

    def erase(self, tx: Transaction, model: Model, number: int | None) -> None:
        where, values = "model_id = ?", [model.id]
        if number is not None:
            where, values = where + " AND number = ?", [model.id, number]
        tx.run(f"DELETE FROM version_tags WHERE {where}", values)
        tx.run(f"DELETE FROM version_changes WHERE {where}", values)
        tx.run(f"DELETE FROM model_versions WHERE {where}", values)

    def _reread(self, reader: Reader, model_id: int, number: int) -> Version:
        return rows.to_versions(
            reader,
            reader.all(
                f"SELECT {rows.VERSION} {_JOINED} WHERE v.model_id = ? AND v.number = ?",
                (model_id, number),
            ),
        )[0]

    # -- aliases --------------------------------------------------------------------------------

    def move_alias(self, tx: Transaction, model: Model, move: Move) -> bool:
        if move.revision == 1:
            moved = tx.run(
                "INSERT INTO model_aliases (model_id, alias, number, revision) VALUES (?,?,?,1) "
                "ON CONFLICT DO NOTHING",
                (model.id, move.alias, move.after),
            )
        else:
            moved = tx.run(
                "UPDATE model_aliases SET number = ?, revision = ? "
                "WHERE model_id = ? AND alias = ? AND revision = ?",
                (move.after, move.revision, model.id, move.alias, move.revision - 1),
            )
        if moved != 1:
            return False
        tx.run(
            f"INSERT INTO alias_moves (model_id, {rows.MOVE}) VALUES (?,?,?,?,?,?,?,?,?,?)",
            [model.id, *rows.move_values(move)],
        )
        return True

    def moves(
        self,
        reader: Reader,
        model: Model,
        alias: str | None,
        *,
        until: datetime | None = None,
        limit: int = 1_000,
    ) -> list[Move]:
        values: list[Any] = [model.id]
        where = "model_id = ?"
        if alias is not None:
            values.append(alias)
            where += " AND alias = ?"
        if until is not None:
            where += " AND time_micros <= ?"
            values.append(to_micros(until))
        # Within one alias time and revision grow together, so either index gives the order.
        by = "time_micros DESC, revision DESC" if until is not None else "revision DESC"
        by = "event_sequence DESC" if alias is None else by
        found = reader.all(
            f"SELECT {rows.MOVE} FROM alias_moves WHERE {where} ORDER BY {by} LIMIT ?",
            [*values, limit],
        )
        return [rows.to_move(row) for row in found]


def _refuse_twin(tx: Transaction, model: Model) -> None:
    twin = tx.one(
        "SELECT name FROM models WHERE name_key = ? AND deleted_micros IS NULL AND id <> ?",
        (name_key(model.name), model.id),
    )
    if twin:
        raise Conflict(
            "registry.name_taken",
            f"There is a model named {twin[0]!r} already.",
            hint="Choose another name, or register versions under that one.",
            name=model.name,
            existing=twin[0],
        )


def _take_name(tx: Transaction, model: Model) -> None:
    """Lets a stored model go by its name, unless numbers of another model were given under it."""
    row = tx.one("SELECT model_id FROM model_names WHERE name = ?", (model.name,))
    before = tx.all("SELECT name FROM models WHERE id = ?", (model.id,))[0][0]
    if row and row[0] != model.id and before != model.name:
        raise Conflict(
            "registry.name_retired",
            f"{model.name!r} was the name of another model, whose versions are on record.",
            hint="Choose a name that no model has had.",
            name=model.name,
        )
    if model.deleted is None:
        _own_name(tx, model.name, model.id)
    tx.run(
        "UPDATE model_names SET last_number = (SELECT max(last_number) FROM model_names "
        "WHERE name IN (?, ?)) WHERE name = ?",
        (before, model.name, model.name),
    )


def _own_name(tx: Transaction, name: str, model_id: int) -> None:
    tx.run(
        "INSERT INTO model_names (name, model_id, last_number) VALUES (?, ?, 0) "
        "ON CONFLICT (name) DO UPDATE SET model_id = excluded.model_id",
        (name, model_id),
    )


def _save_tags(tx: Transaction, version: Version, number: int) -> None:
    tx.run("DELETE FROM version_tags WHERE model_id = ? AND number = ?", (version.model_id, number))
    tx.many(
        "INSERT INTO version_tags (model_id, number, tag, value) VALUES (?,?,?,?)",
        [(version.model_id, number, tag, value) for tag, value in version.tags.items()],
    )
