"""What must be there after a fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from mainspring._adapters.delta.tables import DeltaTables
from mainspring._adapters.files.objects import FileObjects
from mainspring._adapters.sql.event_log import SqlEventLog
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.governance import verify
from mainspring.ports.tables import TableVersion
from mainspring.testing import FakeClock


def until(fact: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits until something holds; fails when it does not come to hold in time."""
    latest = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < latest, "it did not come to hold"
        threading.Event().wait(0.05)


def check_database(folder: Path, acked: dict[int, str]) -> int:
    """Fails unless every acknowledged row is there once, the chain holds; the number of rows."""
    database = SqliteDatabase(folder / "db", FakeClock())
    try:
        assert database.check() == []
        rows = [row[0] for row in database.read(lambda db: db.all("SELECT n FROM t"))]
        assert len(rows) == len(set(rows))
        assert set(acked) <= set(rows)
        told = database.read(lambda db: db.all("SELECT subject, sequence FROM events"))
        events = {int(subject.removeprefix("n:")): sequence for subject, sequence in told}
        assert sorted(events) == sorted(rows)
        assert all(events[number] == int(sequence) for number, sequence in acked.items())
        report = database.read(lambda db: verify(SqlEventLog(db)))
        assert report.ok, report.flaw
        return len(rows)
    finally:
        database.close()


def check_objects(folder: Path, acked: dict[int, str]) -> None:
    """Fails unless every acknowledged object is whole and no other is torn."""
    objects = FileObjects(folder / "objects")
    for number, digest in acked.items():
        assert objects.get(digest) == str(number).encode() * 20_000
    assert all(objects.verify(digest) for digest in objects.list())


def check_tables(folder: Path, acked: dict[int, str]) -> None:
    """Fails unless every acknowledged append is there once, and versions have no gap."""
    tables = DeltaTables(folder / "tables")
    try:
        query = "SELECT n, count(*) AS c FROM t GROUP BY n ORDER BY n"
        found = tables.query(query, {"t": TableVersion("t")})
        assert set(found["c"].tolist()) <= {1000}
        assert set(acked) <= set(found["n"].tolist())
        versions = [commit.version for commit in tables.history("t")]
        assert versions == list(range(len(versions)))
        for number, version in acked.items():
            again = {"n": found["n"][:1]}
            assert tables.append("t", again, token=f"token {number}") == int(version)
    finally:
        tables.close()
