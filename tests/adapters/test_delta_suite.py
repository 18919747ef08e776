"""Delta Lake keeps the tables port's promises."""

from __future__ import annotations

import numpy as np
import pytest
from deltalake import write_deltalake

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.core.errors import Invalid
from mainspring.ports.tables import TableVersion
from mainspring.testing.tables_suite import TablesSuite


@pytest.fixture
def tables(tmp_path_factory):
    store = DeltaTables(tmp_path_factory.mktemp("store") / "tables", durable=False)
    yield store
    store.close()


class TestDeltaTables(TablesSuite):
    """The tables port on a folder."""


def test_the_log_is_folded_up_every_ten_commits(tables):
    """Opening a table reads at most ten log entries after a checkpoint, however long it has grown."""
    for number in range(31):
        tables.append("t", {"a": np.array([number])})
    log = tables._root / "t.delta" / "_delta_log"
    checkpoints = sorted(int(path.name[:20]) for path in log.glob("*.checkpoint.parquet"))
    assert checkpoints == [9, 19, 29]
    assert len(list(log.glob("[0-9]*.json"))) == 31


def test_tables_of_others_are_read_only_when_their_files_tell_all(tables):
    """A table with partition values in its paths is refused, not read with a column missing."""
    path = tables._root / "foreign.delta"
    with tables._engine.cursor() as cursor:
        rows = cursor.sql("SELECT 1::BIGINT AS a, 'x' AS p")
        write_deltalake(str(path), rows, partition_by=["p"])
    with pytest.raises(Invalid) as caught:
        tables.query("SELECT * FROM t", {"t": TableVersion("foreign")})
    assert caught.value.code == "tables.unsupported"
