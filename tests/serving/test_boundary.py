"""Rows at the edges of a model: where a form in fewer bits would answer otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.schema import InputColumn, Signature
from mainspring.serving.boundary import boundary_rows, number_edges, step_of

SIGNATURE = Signature(
    (InputColumn("money", "number"), InputColumn("k", "category", ("x", "y"))), "probability"
)


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([0.41, 3.07, 1_234_567.89], 0.01),
        ([1.0, 7.0, 2.0], 1.0),
        ([1_700_000_000.0, 1_700_000_017.0], 1.0),
        ([7200.0, 3600.0], 3600.0),
        ([0.5, 1.5], 0.5),
        ([0.123456789, 1 / 3], 0.0),
    ],
)
def test_the_step_in_which_values_are_counted_is_found(values, step):
    """Cents, whole numbers, seconds, hours, halves; and none for measured values."""
    assert step_of(np.array(values)) == step


def test_the_cents_beside_a_threshold_are_asked_for():
    """Values that never occurred but will: the next cent on either side, as it is written."""
    seen = np.array([0.01, 2_000_000.37, 123.45])
    edges = number_edges(seen, np.array([1_234_567.445]))
    assert {1_234_567.44, 1_234_567.45} <= set(edges.tolist())


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=30), st.integers(0, 5))
def test_rows_differ_from_seen_ones_in_one_input(cents, seed):
    """Every edge row is a seen row with one input changed (or the row of which nothing is known)."""
    sample = np.column_stack([np.array(cents) / 100, np.arange(len(cents)) % 2])
    rows = boundary_rows(sample, SIGNATURE, {}, seed=seed)
    seen = {tuple(row) for row in sample.tolist()}
    first, second = {row[0] for row in seen}, {row[1] for row in seen}
    for row in rows[:-1].tolist():
        assert row[0] in first or row[1] in second
    assert np.isnan(rows[-1, 0])
    assert rows[-1, 1] == -1
    assert set(rows[:, 1].tolist()) == {-1.0, 0.0, 1.0}
    assert np.isnan(rows[:, 0]).sum() >= 2
    again = boundary_rows(sample, SIGNATURE, {}, seed=seed)
    assert np.array_equal(rows, again, equal_nan=True)
