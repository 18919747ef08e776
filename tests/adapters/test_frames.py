"""Runs as arrays and as the tables of frame libraries."""

from __future__ import annotations

import importlib.util
import math
from operator import methodcaller

import pytest

from mainspring._adapters.frames import FrameLibraries
from mainspring.core.errors import Unavailable
from mainspring.core.ids import RunId
from mainspring.tracking.run_table import RunTable
from mainspring.tracking.types import Point, Run

LIBRARIES = {"arrow": "pyarrow", "pandas": "pandas", "polars": "polars"}


@pytest.fixture
def table() -> RunTable:
    runs = [
        Run(
            id=RunId(f"r{at}"),
            experiment_id="0",
            name=f"run {at}",
            status="FINISHED",
            start_ms=at,
            end_ms=at + 5 if at else None,
            artifact_uri="",
            params={"depth": "6"} if at else {},
            metrics=(Point("auc", 0.5 + at, 1, 1),) if at else (),
        )
        for at in range(2)
    ]
    return RunTable.of(runs, FrameLibraries())


def test_arrays(table: RunTable) -> None:
    """Metrics are floats with NaN, moments whole numbers with -1, texts objects with None."""
    found = table.numpy()
    assert (found["metrics.auc"].dtype, found["end_ms"].dtype) == ("float64", "int64")
    assert math.isnan(found["metrics.auc"][0])
    assert found["end_ms"].tolist() == [-1, 6]
    assert found["params.depth"].tolist() == [None, "6"]


@pytest.mark.parametrize("extra", LIBRARIES)
def test_tables_or_the_name_of_the_missing_extra(table: RunTable, extra: str) -> None:
    """The library's own table, typed, nulls kept; without the library the extra to install."""
    if importlib.util.find_spec(LIBRARIES[extra]) is None:
        with pytest.raises(Unavailable, match=rf"mainspring\[{extra}\]"):
            getattr(table, extra)()
        return
    found = getattr(table, extra)()
    rows = {
        "arrow": methodcaller("to_pylist"),
        "polars": methodcaller("to_dicts"),
        "pandas": lambda it: it.astype(object).where(it.notna(), None).to_dict("records"),
    }[extra](found)
    assert [row["metrics.auc"] for row in rows] == [None, 1.5]
    assert [row["end_ms"] for row in rows] == [None, 6]
    assert [row["params.depth"] for row in rows] == [None, "6"]
