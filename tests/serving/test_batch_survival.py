"""Scoring what does not fit into memory, and going on after kill -9."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.ports.tables import TableVersion

NAMES = [f"x{n}" for n in range(8)]  # as the script has them
SCRIPT = Path(__file__).with_name("batch_process.py")


def filled(folder, rows):
    tables = DeltaTables(folder, durable=False)
    columns = ", ".join(f"(id * 37 + {n}) % 1009 / 7.0 AS {name}" for n, name in enumerate(NAMES))
    tables.append_query("flights", f"SELECT id, {columns} FROM range({rows}) t(id)", {})
    tables.close()


def run(folder, die_after=0, rows=0):
    words = [sys.executable, str(SCRIPT), str(folder), str(die_after), str(rows)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def found(folder):
    tables = DeltaTables(folder, durable=False)
    row = tables.query(
        "SELECT count(*) AS n, count(DISTINCT id) AS d, sum(abs(score - wanted)) AS off FROM "
        f"(SELECT s.id, s.score, {' + '.join(NAMES)} AS wanted "
        "FROM scored s JOIN flights f ON f.id = s.id)",
        {"scored": TableVersion("scored"), "flights": TableVersion("flights")},
    )
    tables.close()
    return row["n"].item(), row["d"].item(), row["off"].item()


def test_a_killed_scoring_goes_on_where_it_was(tmp_path):
    """Killed three times: what was written is not scored again, and no row is there twice."""
    filled(tmp_path, 20_000)
    for die_after in (1, 2, 1):
        assert run(tmp_path, die_after, 2_000).returncode == -signal.SIGKILL
    last = run(tmp_path, 0, 2_000)
    assert last.returncode == 0, last.stderr
    # Four parts were done before; a part is dealt by a hash, so it is of about 2,000 rows.
    assert json.loads(last.stdout)["rows"] == pytest.approx(12_000, rel=0.1)
    assert found(tmp_path) == (20_000, 20_000, pytest.approx(0.0, abs=1e-6))
    assert json.loads(run(tmp_path, 0, 2_000).stdout)["rows"] == 0


@pytest.mark.slow
def test_a_table_larger_than_the_memory_is_scored(tmp_path):
    """Eight million rows of nine columns (576 MB) are scored within 400 MB more than at the start."""
    rows = 8_000_000
    filled(tmp_path, rows)
    done = run(tmp_path, 0, 1_000_000)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["rows"] == rows
    assert said["peak"] - said["before"] < 400_000_000 < rows * 9 * 8
