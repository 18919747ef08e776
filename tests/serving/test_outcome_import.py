"""Outcomes from streams, files and datasets: each once, and a flaw is named by its row."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mainspring._bootstrap.workspace import open_workspace
from mainspring.core.errors import Invalid, NotFound
from mainspring.monitoring import live
from mainspring.ports.tables import TableVersion
from mainspring.serving.outcome_reading import Naming, lines_of, read_batches
from mainspring.serving.outcomes import entity_outcome_table, outcome_table
from mainspring.serving.shipping import prediction_table

START = datetime(2024, 1, 1, tzinfo=UTC)
JSON = """{"prediction_id": "p1", "outcome": 1, "known_at": "2024-01-02T00:00:00Z"}

{"prediction_id": "p2", "outcome": false, "known_at": "2024-01-02T01:00:00+01:00"}
{"entity": "e3", "outcome": 0.5, "known_at": "2024-01-02T00:00:00Z"}
{"prediction_id": "p4", "outcome": null}
"""


def texts(values):
    return np.array(values, dtype=object)


@pytest.fixture
def ws(tmp_path):
    """A workspace whose endpoint has answered p0 to p5, of the entities e0 to e5."""
    with open_workspace(tmp_path / "ws") as workspace:
        times = np.full(6, START.replace(tzinfo=None), dtype="datetime64[us]")
        columns = {
            "prediction_id": texts([f"p{n}" for n in range(6)]),
            "entity": texts([f"e{n}" for n in range(6)]),
            "event_time": times,
            "received_at": times,
            "version": texts(["1"] * 6),
            "variant": texts(["champion"] * 6),
            "role": texts(["champion"] * 6),
            "score": np.linspace(0, 1, 6),
            "decision": np.zeros(6),
            "latency_ms": np.ones(6),
        }
        workspace.tables.append(prediction_table("late"), columns)
        yield workspace


def known(ws):
    """What monitoring reads: the outcome of each prediction."""
    day = timedelta(days=1)
    rows = live.answered(ws.tables, "late", START, START + day, now=START + 9 * day)
    pairs = zip(rows["prediction_id"].tolist(), rows["outcome"].tolist(), strict=True)
    return {key: value for key, value in pairs if not np.isnan(value)}


def versions(ws):
    return [
        ws.tables.version(name) if ws.tables.exists(name) else None
        for name in (outcome_table("late"), entity_outcome_table("late"))
    ]


def test_a_file_is_taken_in_once_and_monitoring_sees_it(ws, tmp_path):
    """By prediction and by entity; the second time nothing is written at all."""
    file = tmp_path / "outcomes.jsonl"
    file.write_text(JSON)
    first = ws.outcomes.from_file("late", file)
    assert (first.rows, first.stored, first.known, first.waiting) == (4, 3, 0, 1)
    assert known(ws) == {"p1": 1.0, "p2": 0.0, "p3": 0.5}
    before = versions(ws)
    again = ws.outcomes.from_file("late", file)
    assert (again.rows, again.stored, again.known, again.waiting) == (4, 0, 3, 1)
    assert versions(ws) == before == [0, 0]


def test_the_same_report_in_other_forms_is_known(ws, tmp_path):
    """CSV, Parquet and a call in Python tell what JSON told: nothing is stored twice."""
    (tmp_path / "o.jsonl").write_text(JSON)
    assert ws.outcomes.from_file("late", tmp_path / "o.jsonl").stored == 3
    (tmp_path / "o.csv").write_bytes(
        b"\xef\xbb\xbfprediction_id,outcome,known_at,why\r\n"
        b'p1,true,2024-01-02T00:00:00Z,"came ""back"",\r\nbroken"\r\n'
        b"p2,0,2024-01-02T00:00:00Z,\r\np5,,,\r\n"
    )
    found = ws.outcomes.from_file("late", tmp_path / "o.csv")
    assert (found.rows, found.stored, found.waiting) == (3, 0, 1)
    moment = np.datetime64("2024-01-02T00:00:00", "us")
    found = ws.outcomes.report(
        "late", np.array([1.0, 0.0]), ids=["p1", "p2"], known_at=np.array([moment, moment])
    )
    assert (found.rows, found.stored) == (2, 0)
    assert ws.outcomes.report("late", [0.5], entities=["e4"], known_at=[START]).stored == 1
    assert known(ws)["p4"] == 0.5


def test_a_call_without_moments_is_known_since_now(ws):
    """As over HTTP."""
    assert ws.outcomes.report("late", [True, None], ids=["p1", "p2"]).stored == 1
    rows = ws.tables.query("SELECT * FROM o", {"o": TableVersion(outcome_table("late"))})
    assert (np.abs(rows["received_at"] - rows["known_at"]) < np.timedelta64(1, "m")).all()
    with pytest.raises(Invalid):
        ws.outcomes.report("late", [1.0], ids=["p1", "p2"])


def parquet(ws, file, sql):
    import duckdb

    duckdb.sql(f"COPY ({sql}) TO '{file}' (FORMAT parquet)")


def test_parquet_goes_through_the_engine(ws, tmp_path):
    """Rows without outcome wait, doubled rows count once, and a changed file of the same name too."""
    file = tmp_path / "o.parquet"
    sql = (
        "SELECT * FROM (VALUES ('p1', 1), ('p1', 1), ('p2', NULL), ('p3', 0)) t(order_id, returned), "
        "(SELECT TIMESTAMP '2024-01-03' AS seen)"
    )
    parquet(ws, file, sql)
    naming = Naming(prediction="order_id", entity=None, outcome="returned", known_at="seen")
    found = ws.outcomes.from_file("late", file, naming)
    assert (found.rows, found.stored, found.waiting) == (4, 2, 1)
    assert ws.outcomes.from_file("late", file, naming).stored == 0
    parquet(ws, file, sql.replace("NULL", "1"))
    assert ws.outcomes.from_file("late", file, naming).stored == 1
    assert known(ws) == {"p1": 1.0, "p2": 1.0, "p3": 0.0}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("('p1', '1', TIMESTAMP '2024-01-02'), ('p2', 'late', TIMESTAMP '2024-01-02')", "Row 2 "),
        ("('p1', '1', TIMESTAMP '2024-01-02'), (NULL, '1', TIMESTAMP '2024-01-02')", "Row 2 "),
        ("('p1', '1', NULL::TIMESTAMP)", "Row 1 does not say when"),
        ("('p1', 'inf', TIMESTAMP '2024-01-02')", "Row 1 "),
        ("('p1', '1', '2024-01-02')", "known_at"),
    ],
)
def test_a_flawed_table_is_not_taken_in(ws, tmp_path, values, words):
    """The first flawed row is named, and nothing of the table is stored."""
    file = tmp_path / "o.parquet"
    parquet(ws, file, f"SELECT * FROM (VALUES {values}) t(prediction_id, outcome, known_at)")
    with pytest.raises(Invalid, match=words) as raised:
        ws.outcomes.from_file("late", file)
    assert raised.value.code == "serving.bad_outcome"
    assert versions(ws) == [None, None]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "JSON"),
        ("[1]", "JSON"),
        ('{"outcome": 1, "known_at": "2024-01-02T00:00:00Z"}', "prediction_id"),
        ('{"prediction_id": "a", "entity": "b", "outcome": 1}', "both"),
        ('{"prediction_id": "a"}', "outcome"),
        ('{"prediction_id": "a", "outcome": "late"}', "no number"),
        ('{"prediction_id": "a", "outcome": 1e999}', "JSON|no number"),
        ('{"prediction_id": "a", "outcome": 1}', "does not say when"),
        ('{"prediction_id": "a", "outcome": 1, "known_at": "2024-01-02T00:00:00"}', "moment"),
        ('{"prediction_id": "a", "outcome": 1, "known_at": 5}', "moment"),
        ('{"prediction_id": ["a"], "outcome": 1}', "no text"),
        ('{"prediction_id": "' + "a" * 257 + '", "outcome": 1}', "256"),
    ],
)
def test_a_flawed_row_of_a_stream_is_named_and_those_before_it_are_stored(ws, line, words):
    """Mended and sent again from the start, the whole is stored once."""
    lines = [*JSON.encode().splitlines(), line.encode()]
    with pytest.raises(Invalid, match=words) as raised:
        ws.outcomes.stream("late", lines, "jsonl", Naming())
    assert raised.value.facts == {"row": 5, "stored": 3}
    assert known(ws) == {"p1": 1.0, "p2": 0.0, "p3": 0.5}
    mended = b'{"prediction_id": "p0", "outcome": 1, "known_at": "2024-01-02T00:00:00Z"}'
    found = ws.outcomes.stream("late", [*JSON.encode().splitlines(), mended], "jsonl", Naming())
    assert (found.rows, found.stored) == (5, 1)


def test_flaws_of_csv_are_named(ws):
    """A row of another length, and a quote that never ends."""
    head = b"prediction_id,outcome,known_at\n"
    good = b"p1,1,2024-01-02T00:00:00Z\n"
    with pytest.raises(Invalid, match="Row 2 has 2 fields"):
        ws.outcomes.stream("late", [head, good, b"p1,1\n"], "csv", Naming())
    with pytest.raises(Invalid, match="Row 2 ends inside"):
        ws.outcomes.stream("late", [head, good, b'p1,"1\n'], "csv", Naming())


def test_an_endpoint_that_was_never_served_is_refused(ws):
    """A misspelt name makes no table."""
    with pytest.raises(NotFound):
        ws.outcomes.report("lte", [1.0], ids=["a"])
    with pytest.raises(NotFound):
        ws.outcomes.from_file("late", "nowhere.jsonl")
    assert not ws.tables.exists(outcome_table("lte"))


def test_a_pause_hands_on_what_has_come():
    """A stream that stays open is read as it flows, however the lines are cut into pieces."""
    reading, writing = os.pipe()
    lines = JSON.encode().splitlines(keepends=True)

    def send():
        os.write(writing, lines[0] + lines[2][:9])
        seen.wait(20)
        os.write(writing, lines[2][9:] + lines[3].rstrip())
        os.close(writing)

    seen = threading.Event()
    sender = threading.Thread(target=send)
    sender.start()
    batches = read_batches(lines_of(reading, 0.05), "jsonl", Naming())
    first = next(batches)
    assert (first.first, first.last, first.by_prediction["key"].tolist()) == (1, 1, ["p1"])
    seen.set()
    rest = list(batches)
    assert [k for b in rest for k in b.by_prediction["key"].tolist()] == ["p2"]
    assert [k for b in rest for k in b.by_entity["key"].tolist()] == ["e3"]
    assert rest[-1].last == 3
    sender.join()
    os.close(reading)


@given(
    rows=some.lists(
        some.tuples(some.text(min_size=1, max_size=8), some.floats(allow_nan=False, width=32)),
        max_size=20,
    ),
    cut=some.integers(1, 40),
)
def test_csv_reads_back_what_was_written(rows, cut):
    """Whatever keys hold (quotes, commas, line breaks), and wherever the stream pauses."""
    import csv
    import io

    rows = [(key, value) for key, value in rows if np.isfinite(value) and "\r" not in key]
    rows = [(key, value) for key, value in rows if "\0" not in key]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["prediction_id", "outcome"])
    writer.writerows(rows)
    lines = []
    for n, line in enumerate(text.getvalue().encode().splitlines(keepends=True)):
        lines += [None, line] if n % cut == 0 else [line]
    batches = list(read_batches(lines, "csv", Naming(at=START)))
    found = [
        pair
        for b in batches
        for pair in zip(
            b.by_prediction["key"].tolist(), b.by_prediction["outcome"].tolist(), strict=True
        )
    ]
    assert found == rows


def test_rows_without_a_moment_are_told_what_gives_one(ws, tmp_path):
    """The hint names what the command takes, for that is the usual first try."""
    file = tmp_path / "o.jsonl"
    file.write_text('{"prediction_id": "p1", "outcome": 1}\n')
    with pytest.raises(Invalid) as raised:
        ws.outcomes.from_file("late", file)
    assert "--at" in raised.value.hint
