"""Versions can be shown, compared and read at any time."""

from __future__ import annotations

import pytest

from mainspring.core.errors import NotFound


def test_a_diff_counts_rows_by_key(desk):
    """Added, removed and changed rows, and which columns changed."""
    desk.ingest("id,x,y\na,1,p\nb,2,p\nc,3,p\n")
    desk.ingest("id,x,y\nb,2,p\nc,4,p\nd,5,p\n")
    diff = desk.datasets.diff("rows", 1, 2)
    assert (diff.added, diff.removed, diff.changed, diff.unchanged) == (1, 1, 1, 1)
    changed = {column.column: column.changed_rows for column in diff.columns}
    assert changed == {"id": 0, "x": 1, "y": 0}
    assert diff.examples == {"added": ("d",), "removed": ("a",), "changed": ("c",)}


def test_a_diff_tells_of_columns_that_came_and_went(desk):
    """Types before and after; a column of one version only has none on the other side."""
    desk.ingest("id,x\na,1\n")
    desk.ingest("id,z\na,1.5\n")
    diff = desk.datasets.diff("rows", 1, 2)
    kinds = {column.column: (column.before, column.after) for column in diff.columns}
    assert kinds == {"id": ("string", "string"), "x": ("integer", None), "z": (None, "number")}


def test_what_is_not_there_is_told(desk):
    """An unknown dataset or version names what there is."""
    with pytest.raises(NotFound) as caught:
        desk.datasets.show("rows")
    assert caught.value.code == "data.dataset_not_found"
    desk.ingest("id\na\n")
    with pytest.raises(NotFound) as caught:
        desk.datasets.show("rows", 7)
    assert caught.value.code == "data.version_not_found"
