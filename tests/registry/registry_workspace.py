"""A registry over an in-memory workspace, and packages to put in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainspring._adapters.sql import events as event_rows
from mainspring._adapters.sql.registry import SqlRegistry
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.core.digest import sha256
from mainspring.core.events import Event, ref
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.manifest import Decision, Manifest
from mainspring.registry.service import Registry, open_registry
from mainspring.testing.objects import MemoryObjects

START = datetime(2026, 1, 1, tzinfo=UTC)


class HandClock:
    """A clock that tests set to any moment, an earlier one too."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment

    def monotonic_seconds(self) -> float:
        return self.moment.timestamp()

    def forward(self, **length: float) -> datetime:
        self.moment += timedelta(**length)
        return self.moment


@dataclass
class Workspace:
    """The parts of a registry under test, each in reach."""

    database: SqliteDatabase
    objects: MemoryObjects
    clock: HandClock
    registry: Registry

    @property
    def events(self) -> list[Event]:
        return self.database.read(lambda reader: list(event_rows.every(reader)))

    def kinds(self) -> list[str]:
        return [event.kind.removeprefix("registry.") for event in self.events]


def workspace_at(path: str | Path, **options: object) -> Workspace:
    clock = HandClock()
    database = SqliteDatabase(path, clock)
    database.migrate()
    objects = MemoryObjects()
    registry = open_registry(database, SqlRegistry("sqlite"), clock, objects, **options)
    return Workspace(database, objects, clock, registry)


def package(text: str = "weights", **changed: object) -> tuple[Manifest, dict[str, bytes]]:
    """A small package whose model file holds this text."""
    files = {"model.txt": text.encode(), "golden/rows.json": b"[]"}
    fields: dict[str, object] = {
        "name": "late",
        "task": "binary",
        "runtime": "linear",
        "signature": Signature(
            inputs=(InputColumn("distance", "number"), InputColumn("carrier", "category", ("AA",))),
            output="probability",
        ),
        "files": {path: sha256(data) for path, data in files.items()},
        "golden": "golden/rows.json",
        "decision": Decision(threshold=0.25, false_negative=4.0),
        "used": (ref("dataset", "flights@3"),),
        "run_id": "r1",
        "seed": 7,
        "metrics": {"auc": 0.75},
        "environment": {"numpy": "2.4.0"},
    }
    return Manifest(**{**fields, **changed}), files


def publish(registry: Registry, name: str, count: int) -> None:
    """A model with so many versions, each another package."""
    registry.models.register(name, exists_ok=True)
    for at in range(count):
        registry.versions.create(name, *package(f"{name} {at}"))
