"""Prediction records into tables, exactly once."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from segment_text import SegmentText

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.core.schema import InputColumn, Signature
from mainspring.ports.tables import TableVersion
from mainspring.serving.records import MARK, Answered, Layout
from mainspring.serving.shipping import Shipped, inputs_table, prediction_table, ship

SIGNATURE = Signature(
    (InputColumn("miles", "number"), InputColumn("carrier", "category", ("AA",))), "probability"
)
LAYOUT = Layout(0, "late", "champion", "3", "champion", ("miles",), ("carrier",))
COPY = Layout(0, "late", "frozen", "1", "reference", (), ())


@pytest.fixture
def tables(tmp_path):
    tables = DeltaTables(tmp_path / "tables")
    yield tables
    tables.close()


def answered(ids, layout=LAYOUT, *, given=True):
    rows = len(ids)
    return Answered(
        layout=layout,
        ids=ids,
        ids_given=given,
        entities=["plane"] * rows,
        event_times=np.full(rows, 1_370_000_000_000_000, dtype=np.int64),
        received_micros=1_700_000_000_000_000,
        latency_micros=900,
        score=np.full(rows, 0.5),
        decision=np.ones(rows, dtype=bool),
        inputs={"miles": np.ones(rows), "carrier": np.array(["AA"] * rows, object)},
    )


def segment(folder, name, *blocks):
    folder.mkdir(exist_ok=True)
    encoder = SegmentText()
    text = MARK + b"".join(encoder.encode(block) for block in blocks)
    (folder / f"{name}.segment").write_bytes(text)


def counts(tables, name=None):
    table = {"p": TableVersion(name or prediction_table("late"))}
    columns = "prediction_id" if name else "prediction_id, role"
    frame = tables.query(f"select {columns}, count(*) as n from p group by all order by all", table)
    return list(zip(*(frame[column].tolist() for column in frame), strict=True))


def test_answers_and_inputs_go_to_their_tables(tmp_path, tables):
    """Each answer is a row, copies included; each prediction's inputs are stored once."""
    folder = tmp_path / "records"
    segment(folder, "1", answered(["a", "b"], given=False), answered(["a", "b"], COPY, given=False))
    assert ship(folder, tables) == Shipped(segments=1, rows=4)
    assert counts(tables) == [(i, r, 1) for i in "ab" for r in ("champion", "reference")]
    assert counts(tables, inputs_table("late", SIGNATURE)) == [("a", 1), ("b", 1)]
    assert list(folder.iterdir()) == []
    assert ship(folder, tables) == Shipped(segments=0, rows=0)


def test_a_segment_shipped_twice_counts_once(tmp_path, tables):
    """Dying between the append and the removal of the file doubles nothing."""
    folder, again = tmp_path / "records", tmp_path / "again"
    segment(folder, "1", answered(["a"], given=False))
    shutil.copytree(folder, again)
    ship(folder, tables)
    ship(again, tables)
    assert counts(tables) == [("a", "champion", 1)]


def test_two_who_ship_at_once_only_do_the_work_twice(tmp_path):
    """What the other has shipped and removed since we looked is no error, and counts once."""
    folder = tmp_path / "records"

    class Shared(DeltaTables):
        """Before our first append another worker passes over the whole folder."""

        others: Shipped | None = None

        def append_query(self, *arguments, **named):
            if self.others is None:
                self.others = Shipped(0, 0)
                self.others = ship(folder, self)
            return super().append_query(*arguments, **named)

    for number in range(3):
        segment(folder, f"{number}", answered([f"p{number}"]))
    tables = Shared(tmp_path / "tables")
    try:
        ship(folder, tables)
        assert tables.others == Shipped(3, 3)
        assert counts(tables) == [(f"p{number}", "champion", 1) for number in range(3)]
    finally:
        tables.close()
    assert not list(folder.iterdir())


def test_a_prediction_asked_again_counts_once(tmp_path, tables):
    """The same id within a segment, and in another one, is one prediction per role."""
    folder = tmp_path / "records"
    segment(folder, "1", answered(["a", "b"]), answered(["b", "c"]), answered(["b"], COPY))
    ship(folder, tables)
    segment(folder, "2", answered(["c", "d"]), answered(["b", "c"], COPY))
    ship(folder, tables)
    assert counts(tables) == [
        ("a", "champion", 1),
        ("b", "champion", 1),
        ("b", "reference", 1),
        ("c", "champion", 1),
        ("c", "reference", 1),
        ("d", "champion", 1),
    ]
    assert counts(tables, inputs_table("late", SIGNATURE)) == [(name, 1) for name in "abcd"]


def test_a_new_set_of_inputs_gets_a_table_of_its_own(tmp_path, tables):
    """A retrained model with other features never stops the shipping of answers."""
    folder = tmp_path / "records"
    other = Layout(0, "late", "champion", "4", "champion", ("miles",), ())
    segment(folder, "1", answered(["a"]))
    segment(folder, "2", answered(["b"], other))
    assert ship(folder, tables).rows == 2
    numbers = Signature((InputColumn("miles", "number"),), "probability")
    assert counts(tables, inputs_table("late", SIGNATURE)) == [("a", 1)]
    assert counts(tables, inputs_table("late", numbers)) == [("b", 1)]


def test_endpoints_do_not_mix(tmp_path, tables):
    """Two endpoints of one gateway share a segment, never a table."""
    folder = tmp_path / "records"
    segment(
        folder,
        "1",
        answered(["a"]),
        answered(["b"], Layout(0, "eta", "c", "1", "champion", (), ())),
    )
    ship(folder, tables)
    assert counts(tables) == [("a", "champion", 1)]
    assert tables.exists("predictions/eta")
