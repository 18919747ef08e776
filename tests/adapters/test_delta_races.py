"""Several processes at one table."""

from __future__ import annotations

import numpy as np

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.ports.tables import TableVersion


class SecondToCome(DeltaTables):
    """One whose table another process creates after it looked and before it writes."""

    def _create(self, name, rows, said):
        if not DeltaTables(self._root).exists(name):
            DeltaTables(self._root).append(name, {"n": np.array([1])})
        return super()._create(name, rows, said)


def test_a_table_that_another_process_just_created_is_appended_to(tmp_path):
    """Who loses the race to create a table adds its rows to it."""
    tables = SecondToCome(tmp_path)
    version = tables.append("parts", {"n": np.array([2])})
    rows = tables.query("SELECT n FROM t ORDER BY n", {"t": TableVersion("parts", version)})
    assert rows["n"].tolist() == [1, 2]
