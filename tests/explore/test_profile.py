"""A profile tells what is in a dataset version, and what to look at before training."""

from __future__ import annotations

import math

import msgspec
import pytest

from mainspring._adapters.sql.data import SqlDatasetStore
from mainspring.data import Dataset, Datasets, Source
from mainspring.explore import profile
from mainspring.testing import memory_ports


@pytest.fixture
def explore(tmp_path):
    """Profiles the rows of a CSV text."""
    with memory_ports() as ports:
        datasets = Datasets(ports.database, ports.tables, SqlDatasetStore(), ports.clock)

        def of(text, target=None):
            (tmp_path / "rows.csv").write_text(text)
            spec = Dataset(source="raw", key=("id",))
            sources = {"raw": Source(path="rows.csv")}
            datasets.ingest("rows", spec, sources=sources, folder=tmp_path)
            return profile(ports.tables, datasets.show("rows"), target_sql=target)

        yield of


def table(columns, rows):
    head = ["id", *columns]
    lines = [",".join(str(value) for value in (index, *row)) for index, row in enumerate(rows)]
    return "\n".join([",".join(head), *lines]) + "\n"


def codes(found):
    return {warning.code for warning in found.warnings}


def test_numbers_of_a_column_are_those_of_its_values(explore):
    """Counts, nulls, spread, quantiles and a histogram that holds every value."""
    rows = [(x if x % 10 else "",) for x in range(1, 1000)]
    column = explore(table(["x"], rows)).columns[1]
    values = [x for x in range(1, 1000) if x % 10]
    assert (column.rows, column.nulls) == (999, 99)
    assert column.null_ratio == pytest.approx(99 / 999)
    assert column.mean == pytest.approx(sum(values) / len(values))
    assert (column.quantiles["p0"], column.quantiles["p50"], column.quantiles["p100"]) == (
        1,
        500,
        999,
    )
    assert sum(one.rows for one in column.histogram) == 900
    assert column.distinct == pytest.approx(900, rel=0.1)


def test_top_values_and_moments(explore):
    """Texts are counted, moments have a first and a last."""
    rows = [("a" if x < 7 else "b", f"2024-01-{x + 1:02d}T00:00:00Z") for x in range(10)]
    _, letter, when = explore(table(["letter", "seen"], rows)).columns
    assert [(one.value, one.rows) for one in letter.top_values] == [("a", 7), ("b", 3)]
    assert when.low is not None
    assert when.low.startswith("2024-01-01")
    assert when.quantiles["p100"] - when.quantiles["p0"] == 9 * 86_400


def test_association_is_the_share_of_the_target_explained(explore):
    """A copy explains all, a bent relation most, noise nothing; texts count as their groups."""
    rows = [
        (x % 50, (x % 50 - 25) ** 2, x * 7919 % 101, "even" if x % 2 else "odd")
        for x in range(2000)
    ]
    found = explore(table(["x", "bent", "noise", "parity"], rows), target="bent")
    shares = {column.name: column.association for column in found.columns}
    assert shares["bent"] > 0.95
    assert shares["x"] > 0.95
    assert shares["noise"] < 0.02
    assert shares["parity"] < 0.02


def test_pairs_that_say_the_same_are_named(explore):
    """Pearson's coefficient, strongest first."""
    rows = [(x, x * 2 + 1, math.sin(x)) for x in range(300)]
    found = explore(table(["a", "b", "c"], rows))
    strongest = [pair for pair in found.correlations if {pair.first, pair.second} == {"a", "b"}]
    assert strongest[0].coefficient == pytest.approx(1)
    assert "same" in codes(found)


@pytest.mark.parametrize(
    ("columns", "rows", "target", "code", "ready"),
    [
        (["x"], [(x,) for x in range(10)], None, "few_rows", False),
        (["x"], [(1,)] * 300, "x", "one_class", False),
        (["x"], [(int(x == 7),) for x in range(1000)], "x", "rare_class", True),
        (["x", "y"], [(x, 5) for x in range(300)], None, "constant", True),
        (["x", "y"], [(x, "" if x % 3 else 1) for x in range(300)], None, "many_nulls", True),
        (["x", "y"], [(x % 2, f"n{x}") for x in range(300)], None, "key_like", True),
        (["x", "y"], [(x % 2, x % 2 * 100) for x in range(300)], "x", "leak", True),
        (["x"], [(x % 3,) for x in range(300)], None, "duplicate_rows", True),
        (["x"], [(x or 1e6,) for x in range(300)], None, "far_out", True),
        (["x", "y"], [(x, "") for x in range(300)], None, "all_null", True),
    ],
)
def test_what_is_worth_a_look_is_told(explore, columns, rows, target, code, ready):
    """Each trouble has its code, and only what stops training makes the table not ready."""
    found = explore(table(columns, rows), target)
    assert code in codes(found)
    assert found.ready is ready
    assert all(warning.hint for warning in found.warnings)


def test_a_profile_is_json_and_the_same_every_time(explore):
    """The same rows give the same bytes."""
    text = table(["x", "y"], [(x * 0.1, x % 7) for x in range(500)])
    first = msgspec.json.encode(explore(text, "y"))
    assert msgspec.json.encode(explore(text, "y")) == first
