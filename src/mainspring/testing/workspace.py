"""Every port in memory, for tests that need real parts and no folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mainspring._adapters.delta.tables import DeltaTables
from mainspring._adapters.sql.queue import SqlQueue
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.testing.clock import FakeClock
from mainspring.testing.objects import MemoryObjects


@dataclass(frozen=True, slots=True)
class MemoryPorts:
    """The ports of a workspace that is gone when the test is over."""

    clock: FakeClock
    database: SqliteDatabase
    objects: MemoryObjects
    tables: DeltaTables
    queue: SqlQueue


@contextmanager
def memory_ports(*, clock: FakeClock | None = None) -> Iterator[MemoryPorts]:
    """Fresh ports: SQLite in memory and migrated, tables on a temporary folder (and unsynced).

    Example::

        @pytest.fixture
        def ports():
            with memory_ports() as ports:
                yield ports
    """
    clock = clock or FakeClock()
    with tempfile.TemporaryDirectory(prefix="mainspring-") as folder:
        database = SqliteDatabase(":memory:", clock)
        tables = DeltaTables(Path(folder) / "tables", durable=False)
        try:
            database.migrate()
            yield MemoryPorts(clock, database, MemoryObjects(), tables, SqlQueue(database, clock))
        finally:
            tables.close()
            database.close()
