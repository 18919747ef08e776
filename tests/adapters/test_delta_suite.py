"""Delta Lake keeps the tables port's promises."""

from __future__ import annotations

import pytest

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.testing.tables_suite import TablesSuite


@pytest.fixture
def tables(tmp_path_factory):
    store = DeltaTables(tmp_path_factory.mktemp("store") / "tables", durable=False)
    yield store
    store.close()


class TestDeltaTables(TablesSuite):
    """The tables port on a folder."""
