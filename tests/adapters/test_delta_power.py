"""A commit that a power cut left half written does not take the table with it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mainspring._adapters.delta import power
from mainspring._adapters.delta.tables import DeltaTables
from mainspring.ports.tables import TableVersion

SUM = "SELECT count(*) AS n FROM t"


@pytest.fixture
def folder(tmp_path):
    """A table of eleven whole commits (0 to 10), with a checkpoint after the last but one."""
    tables = DeltaTables(tmp_path / "tables")
    for number in range(11):
        tables.append("t", {"n": np.arange(number)}, token=str(number))
    tables.close()
    return tmp_path / "tables" / "t.delta"


def _log(folder, version, kind="json"):
    return folder / "_delta_log" / f"{version:020d}.{kind}"


def _newest_file(folder):
    return max(folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)


def _empty(path):
    path.write_bytes(b"")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def _zero(path):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("hurt", [_empty, _cut, _zero], ids=["empty", "cut", "zero"])
@pytest.mark.parametrize("what", ["log", "data", "both"])
def test_a_torn_newest_commit_is_set_aside(folder, hurt, what):
    """The table is what it was before; the token of the torn commit writes again."""
    if what != "data":
        hurt(_log(folder, 10))
    if what != "log":
        hurt(_newest_file(folder))
    for torn in folder.joinpath("_delta_log").glob("*checkpoint*"):
        hurt(torn)  # it was never synced either
    tables = DeltaTables(folder.parent)
    assert tables.version("t") == 9
    assert tables.query(SUM, {"t": TableVersion("t")})["n"].tolist() == [45]
    assert tables.append("t", {"n": np.arange(10)}, token="10") == 10
    assert tables.query(SUM, {"t": TableVersion("t")})["n"].tolist() == [55]
    tables.close()


@pytest.mark.parametrize("hurt", [_empty, _cut, _zero, os.unlink])
@pytest.mark.parametrize("name", ["_last_checkpoint", f"{9:020d}.checkpoint.parquet"])
def test_a_torn_checkpoint_loses_no_commit(folder, hurt, name):
    """A checkpoint is a short cut: without it the log tells the same."""
    path = folder / "_delta_log" / name
    assert path.exists()
    hurt(path)
    tables = DeltaTables(folder.parent)
    assert tables.version("t") == 10
    assert tables.query(SUM, {"t": TableVersion("t")})["n"].tolist() == [55]
    assert [tables.append("t", {"n": np.arange(3)}, token=str(n)) for n in range(11)] == list(
        range(11)
    )
    tables.close()


def test_a_checkpoint_of_a_torn_commit_goes_with_it(folder):
    """A whole checkpoint does not bring back a commit whose files are torn."""
    for version in (9, 10):
        _empty(_log(folder, version))
    tables = DeltaTables(folder.parent)
    assert tables.version("t") == 8
    assert tables.query(SUM, {"t": TableVersion("t")})["n"].tolist() == [36]
    tables.close()


def test_a_torn_first_commit_leaves_no_table(tmp_path):
    """A table whose making was cut off is not there, and can be made."""
    tables = DeltaTables(tmp_path / "tables")
    tables.append("t", {"n": np.arange(3)})
    _empty(_log(tmp_path / "tables" / "t.delta", 0))
    again = DeltaTables(tmp_path / "tables")
    assert not again.exists("t")
    assert again.append("t", {"n": np.arange(5)}) == 0
    assert again.query(SUM, {"t": TableVersion("t")})["n"].tolist() == [5]
    tables.close()
    again.close()


def test_a_sound_table_is_left_alone(folder):
    """Nothing is set aside where nothing is torn; an older commit is never judged."""
    assert power.mend(folder) == []
    _empty(next(iter(sorted(folder.glob("*.parquet"), key=lambda p: p.stat().st_mtime_ns))))
    assert power.mend(folder) == []


def test_every_file_of_a_commit_is_synced_before_it_is_acknowledged(tmp_path, monkeypatch):
    """Data, log entry, checkpoint, and the folders that name them."""
    synced = set()
    real = os.fsync

    def fsync(descriptor):
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    tables = DeltaTables(tmp_path / "tables")
    for number in range(11):
        tables.append("deep/t", {"n": np.arange(number)})
    folder = tmp_path / "tables" / "deep" / "t.delta"
    wanted = {str(path) for path in folder.rglob("*") if path.is_file()}
    wanted |= {
        str(folder),
        str(folder / "_delta_log"),
        str(folder.parent),
        str(tmp_path / "tables"),
    }
    assert wanted <= synced
    tables.close()
