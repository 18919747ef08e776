"""A full, failing or power-less disk: refused cleanly, or survived."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from fault_checks import check_database, check_objects, check_tables
from tests import needs

from mainspring._adapters.delta.tables import DeltaTables
from mainspring._adapters.files.objects import FileObjects
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.core.errors import MainspringError
from mainspring.ports.tables import TableVersion
from mainspring.testing import FakeClock


@pytest.fixture
def small(tmp_path):
    """A disk of eight megabytes."""
    with needs.tmpfs(tmp_path / "disk", 8) as folder:
        yield folder


def _until_full(write):
    """Writes until it is refused; how often it was not, and the code of the refusal."""
    for done in range(100_000):
        try:
            write(done)
        except MainspringError as error:
            return done, error.code
    raise AssertionError("the disk never filled")


def test_a_full_disk_refuses_rows_and_goes_on_reading(small):
    """Nothing of the refused write stays; with room again writing goes on by itself."""
    (small / "ballast").write_bytes(b"x" * 2_000_000)
    database = SqliteDatabase(small / "db", FakeClock())
    database.migrate()
    database.write(lambda tx: tx.run("CREATE TABLE t (n INTEGER, said TEXT)"))

    def write(number):
        sql = "INSERT INTO t (n, said) VALUES (?, ?)"
        database.write(lambda tx: tx.run(sql, (number, "x" * 50_000)))

    count, code = _until_full(write)
    assert code == "database.full"
    assert database.read(lambda db: db.one("SELECT count(*) FROM t")) == (count,)
    (small / "ballast").unlink()
    write(count)
    assert database.read(lambda db: db.one("SELECT count(*) FROM t")) == (count + 1,)
    assert database.check() == []
    database.close()


def test_a_full_disk_leaves_no_half_object(small):
    """The refused object is not there, nothing of it takes up room, the others are whole."""
    objects = FileObjects(small / "objects")
    count, code = _until_full(lambda number: objects.put([bytes([number % 256]) * 1_000_000] * 2))
    assert code == "objects.full"
    stored = list(objects.list())
    assert len(stored) == count > 1
    assert all(objects.verify(digest) for digest in stored)
    assert not list((small / "objects" / "incoming").iterdir())
    assert objects.delete(stored[0])
    assert objects.put(b"small")


def test_a_full_disk_refuses_an_append(small, tmp_path):
    """The table stays at its last version, readable; with room again appends go on."""
    tables = DeltaTables(small / "tables", spill=tmp_path / "spill")
    random = np.random.default_rng(1)

    def write(_number):
        tables.append("t", {"n": random.integers(0, 2**60, 100_000)})

    count, code = _until_full(write)
    assert code == "tables.full"
    assert tables.version("t") == count - 1
    query = "SELECT count(*) AS n FROM t"
    assert tables.query(query, {"t": TableVersion("t")})["n"].tolist() == [count * 100_000]
    tables.delete_where("t", "n >= 0")
    tables.vacuum("t", frozenset())
    for file in (small / "tables" / "t.delta").glob("*.parquet"):
        file.unlink()  # what the refused append left is an orphan, a day before vacuum takes it
    write(0)
    assert tables.query(query, {"t": TableVersion("t")})["n"].tolist() == [100_000]
    tables.close()


FAILING = """
import sys
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.core.errors import MainspringError
from mainspring.testing import FakeClock
database = SqliteDatabase(sys.argv[1], FakeClock())
database.migrate()
database.write(lambda tx: tx.run("CREATE TABLE IF NOT EXISTS t (n INTEGER)"))
for number in range(40):
    try:
        database.write(lambda tx: tx.run("INSERT INTO t (n) VALUES (?)", (number,)))
        print(number, "acked")
    except MainspringError as error:
        print(number, error.code)
try:
    database.recover()
    database.write(lambda tx: tx.run("INSERT INTO t (n) VALUES (99)"))
    print(99, "acked")
except MainspringError as error:
    print(99, error.code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["20", "31", "45", "20+"])
def test_after_a_failed_sync_no_write_is_acknowledged(tmp_path, when):
    """The N-th sync fails once (or all from then on): every later write is refused until recovered."""
    SqliteDatabase(tmp_path / "db", FakeClock()).close()
    inject = f"inject=fdatasync,fsync:error=EIO:when={when}"
    command = [needs.tracing(), "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]
    command += ["-e", inject, sys.executable, "-c", FAILING, str(tmp_path / "db")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    said = dict(line.split() for line in done.stdout.splitlines())
    if "database.broken" not in said.values():
        # The fault fell into opening the database, which failed as a whole.
        assert done.returncode != 0, done.stdout
        assert "database.broken" in done.stderr
        return
    first = min(int(number) for number, code in said.items() if code == "database.broken")
    assert all(said[str(number)] == "database.broken" for number in range(first, 40))
    assert said["99"] == ("database.broken" if when.endswith("+") else "acked")
    database = SqliteDatabase(tmp_path / "db", FakeClock())
    rows = {row[0] for row in database.read(lambda db: db.all("SELECT n FROM t"))}
    assert {int(number) for number, code in said.items() if code == "acked"} <= rows
    assert database.check() == []
    database.close()


CHECKS = {"database": check_database, "objects": check_objects, "tables": check_tables}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("database", 300), ("objects", 30), ("tables", 12)])
def test_nothing_acknowledged_is_lost_with_the_power(kind, count, start, tmp_path):
    """The image of a mounted disk, copied while the writer is at work, is what a power cut leaves."""
    image, copy = needs.formatted(tmp_path / "image", 96), tmp_path / "copy"
    with needs.mounted(tmp_path / "disk", "-o", "loop", str(image)) as folder:
        writer = start(folder, kind)
        writer.acknowledge(count)
        acked = dict(writer.acked)
        # Stopped, not ended: what it has not synced stays in memory, as when the power goes.
        os.kill(writer.process.pid, signal.SIGSTOP)
        shutil.copyfile(image, copy)
        writer.kill()
    with needs.mounted(tmp_path / "after", "-o", "loop", str(copy)) as folder:
        CHECKS[kind](folder, acked)
