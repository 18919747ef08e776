"""Rows of the registry as values, and the other way round."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.time import from_micros, to_micros
from mainspring.ports.database import Reader, Row
from mainspring.registry.types import Change, Model, Move, Version

MODEL: Final = (
    "m.id, m.name, m.description, m.created_micros, m.updated_micros, m.deleted_micros, m.purged"
)
FIELDS: Final = (
    "status",
    "reason",
    "stage",
    "readiness",
    "readiness_message",
    "package",
    "facts",
    "signature",
    "registered_as",
    "source",
    "run_id",
    "run_link",
    "logged_model_id",
    "created_by",
    "description",
)
COLUMNS: Final = (
    "model_id", "number", *FIELDS,
    "version_key", "created_micros", "updated_micros", "deleted_micros",
)  # fmt: skip
VERSION: Final = "m.name, " + ", ".join(f"v.{column}" for column in COLUMNS)
MOVE: Final = (
    "alias, revision, before_number, after_number, time_micros, actor, why, evidence, "
    "event_sequence"
)
CHANGE: Final = (
    "field, before_value, after_value, time_micros, actor, why, evidence, event_sequence"
)
BATCH: Final = 500  # rows looked up by one statement; both databases take many more values


def micros(moment: datetime | None) -> int | None:
    """A moment's stored form."""
    return None if moment is None else to_micros(moment)


def _moment(stored: int | None) -> datetime | None:
    return None if stored is None else from_micros(stored)


def version_values(version: Version) -> list[Any]:
    """A version in the order of :data:`COLUMNS`."""
    return [
        version.model_id,
        version.number,
        *(getattr(version, field) for field in FIELDS),
        version.key,
        to_micros(version.created),
        to_micros(version.updated),
        micros(version.deleted),
    ]


def to_models(reader: Reader, rows: list[Row]) -> list[Model]:
    """Rows of :data:`MODEL` as values, with their tags and aliases: two statements for all."""
    tags: dict[int, dict[str, str]] = {}
    aliases: dict[int, dict[str, int]] = {}
    for some in _batches([row[0] for row in rows]):
        marks = ",".join("?" * len(some))
        found = f"SELECT model_id, tag, value FROM model_tags WHERE model_id IN ({marks})"
        for id_, tag, value in reader.all(found, some):
            tags.setdefault(id_, {})[tag] = value
        found = (
            "SELECT model_id, alias, number FROM model_aliases "
            f"WHERE model_id IN ({marks}) AND number IS NOT NULL"
        )
        for id_, alias, number in reader.all(found, some):
            aliases.setdefault(id_, {})[alias] = number
    return [
        Model(
            id=row[0],
            name=row[1],
            description=row[2],
            created=from_micros(row[3]),
            updated=from_micros(row[4]),
            deleted=_moment(row[5]),
            purged=bool(row[6]),
            tags=dict(sorted(tags.get(row[0], {}).items())),
            aliases=dict(sorted(aliases.get(row[0], {}).items())),
        )
        for row in rows
    ]


def to_versions(reader: Reader, rows: list[Row]) -> list[Version]:
    """Rows of :data:`VERSION` as values, with their tags and aliases."""
    tags: dict[tuple[int, int], dict[str, str]] = {}
    aliases: dict[tuple[int, int], list[str]] = {}
    for model_id, numbers in _by_model(rows):
        for some in _batches(numbers):
            marks = ",".join("?" * len(some))
            where = f"WHERE model_id = ? AND number IN ({marks})"
            for number, tag, value in reader.all(
                f"SELECT number, tag, value FROM version_tags {where}", [model_id, *some]
            ):
                tags.setdefault((model_id, number), {})[tag] = value
            for number, alias in reader.all(
                f"SELECT number, alias FROM model_aliases {where}", [model_id, *some]
            ):
                aliases.setdefault((model_id, number), []).append(alias)
    return [
        _version(row, tags.get((row[1], row[2]), {}), aliases.get((row[1], row[2]), []))
        for row in rows
    ]


def _version(row: Row, tags: dict[str, str], aliases: list[str]) -> Version:
    stored = dict(zip(("name", *COLUMNS), row, strict=True))
    return Version(
        name=stored["name"],
        model_id=stored["model_id"],
        number=stored["number"],
        key=stored["version_key"],
        created=from_micros(stored["created_micros"]),
        updated=from_micros(stored["updated_micros"]),
        deleted=_moment(stored["deleted_micros"]),
        tags=dict(sorted(tags.items())),
        aliases=tuple(sorted(aliases)),
        **{field: stored[field] for field in FIELDS},
    )


def _by_model(rows: list[Row]) -> list[tuple[int, list[int]]]:
    pairs = sorted((row[1], row[2]) for row in rows)
    return [
        (model_id, [number for _, number in some])
        for model_id, some in groupby(pairs, key=lambda pair: pair[0])
    ]


def _batches(ids: list[int]) -> Iterable[list[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def to_move(row: Row) -> Move:
    """A row of :data:`MOVE`."""
    return Move(
        alias=row[0],
        revision=row[1],
        before=row[2],
        after=row[3],
        time=from_micros(row[4]),
        actor=row[5],
        why=row[6],
        evidence=msgspec.json.decode(row[7]),
        sequence=row[8],
    )


def move_values(move: Move) -> list[Any]:
    """A move in the order of :data:`MOVE`."""
    return [
        move.alias,
        move.revision,
        move.before,
        move.after,
        to_micros(move.time),
        move.actor,
        move.why,
        canonical_json(move.evidence).decode(),
        move.sequence,
    ]


def to_change(row: Row) -> Change:
    """A row of :data:`CHANGE`."""
    return Change(
        field=row[0],
        before=row[1],
        after=row[2],
        time=from_micros(row[3]),
        actor=row[4],
        why=row[5],
        evidence=msgspec.json.decode(row[6]),
        sequence=row[7],
    )


def change_values(change: Change) -> list[Any]:
    """A change in the order of :data:`CHANGE`."""
    return [
        change.field,
        change.before,
        change.after,
        to_micros(change.time),
        change.actor,
        change.why,
        canonical_json(change.evidence).decode(),
        change.sequence,
    ]
