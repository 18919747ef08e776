from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking_workspace import Counting, fill, opened

from mainspring._adapters.sql import tracking_search, tracking_sources, tracking_walks
from mainspring._adapters.sqlite.connection import SqliteReader
from mainspring.core.errors import Invalid
from mainspring.core.ids import RunId
from mainspring.tracking import Batch, Point, Run, Tracking
from mainspring.tracking.filters import RUNS, parse, parse_orders
from mainspring.tracking.matching import directions, matches, order_values, sort_key
from mainspring.tracking.ports import RunQuery
from mainspring.tracking.types import Dataset, DatasetInput

VALUES = st.sampled_from([0.0, 1.0, -2.5, math.nan, 1e300])
WORDS = st.sampled_from(["a", "A", "ab", "a_b", "%", "x*y", "", "[q]", "ü", "Ü"])
RUN = st.fixed_dictionaries(
    {
        "start": st.integers(0, 3),
        "end": st.none() | st.integers(0, 3),
        "status": st.sampled_from(["RUNNING", "FINISHED"]),
        "name": st.sampled_from(["n1", "n2"]),
        "metrics": st.dictionaries(st.sampled_from(["m", "n"]), VALUES, max_size=2),
        "params": st.dictionaries(st.sampled_from(["p", "q"]), WORDS, max_size=2),
        "tags": st.dictionaries(st.just("t"), WORDS, max_size=1),
        "dataset": st.none() | st.sampled_from(["d1", "d2"]),
        "experiment": st.integers(0, 1),
    }
)
LITERAL = WORDS.map(lambda word: "'" + word.replace("'", "''") + "'")
CLAUSE = st.one_of(
    st.builds(
        lambda key, op, value: f"metrics.{key} {op} {value}",
        st.sampled_from(["m", "n", "unknown"]),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.sampled_from(["0", "1", "-2.5", "0.5"]),
    ),
    st.builds(
        lambda key, op, value: f"{key} {op} {value}",
        st.sampled_from(["params.p", "params.q", "tags.t", "params.unknown"]),
        st.sampled_from(["=", "!=", "LIKE", "ILIKE"]),
        LITERAL,
    ),
    st.builds(
        lambda key, op: f"{key} {op}",
        st.sampled_from(["params.p", "tags.t", "tags.unknown"]),
        st.sampled_from(["IS NULL", "IS NOT NULL"]),
    ),
    st.sampled_from(
        [
            "start_time > 1",
            "end_time <= 2",
            "end_time != 1",
            "status = 'FINISHED'",
            "status != 'FINISHED'",
            "run_name = 'n1'",
            "run_name LIKE 'n%'",
            "run_id NOT IN ('r0', 'r3')",
            "run_id IN ('r0', 'r3')",
            "datasets.name = 'd1'",
            "datasets.name != 'd1'",
            "datasets.name IN ('d1', 'd2')",
        ]
    ),
)
ORDER = st.sampled_from(
    [
        "metrics.m",
        "metrics.m DESC",
        "metrics.n DESC",
        "params.p",
        "tags.t DESC",
        "start_time",
        "end_time DESC",
        "run_name",
        "status DESC",
        "metrics.unknown",
    ]
)


def look(run: Run, kind: str, key: str) -> Any:
    if kind == "metric":
        return next((point.value for point in run.metrics if point.key == key), None)
    if kind in {"param", "tag"}:
        return (run.params if kind == "param" else run.tags).get(key)
    if kind == "dataset":
        found = [getattr(entry.dataset, key) for entry in run.datasets]
        return found or None
    return {
        "run_id": run.id,
        "run_name": run.name,
        "status": run.status,
        "start_time": run.start_ms,
        "end_time": run.end_ms,
    }[key]


def expected(found: list[Run], text: str, order_by: list[str]) -> list[str]:
    """What a search must give: the filter's meaning on values in memory."""
    clauses, orders = parse(text, RUNS), parse_orders(order_by, RUNS)
    down = [*directions(orders), True, False]
    key = sort_key(down)
    rows = [
        [*order_values(run, orders, look), run.start_ms, run.id]
        for run in found
        if matches(run, clauses, look)
    ]
    return [row[-1] for row in sorted(rows, key=key)]


def store(tracking: Tracking, index: int, asked: dict[str, Any]) -> Run:
    run = tracking.runs.create(
        str(asked["experiment"]),
        name=asked["name"],
        start_ms=asked["start"],
        tags=asked["tags"],
        run_id=RunId(f"r{index}"),
    )
    tracking.runs.update(run.id, status=asked["status"], end_ms=asked["end"]).result()
    points = tuple(Point(key, value, 0, 0) for key, value in asked["metrics"].items())
    tracking.runs.log(run.id, Batch(points=points, params=tuple(asked["params"].items()))).result()
    if asked["dataset"]:
        dataset = Dataset(name=asked["dataset"], digest="x")
        tracking.runs.link(run.id, datasets=[DatasetInput(dataset)])
    return tracking.runs.get(run.id)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(RUN, max_size=9),
    st.lists(CLAUSE, max_size=3),
    st.lists(ORDER, max_size=2),
    st.integers(1, 4),
    st.sampled_from([-1, 2, 2000]),
    st.sampled_from([0, 3, 20_000]),
)
def test_sql_means_what_the_values_mean(
    runs: list[dict[str, Any]],
    clauses: list[str],
    order_by: list[str],
    limit: int,
    rare: int,
    far: int,
) -> None:
    """Every plan, at every page size, gives what the filter means on values in memory, in order."""
    text = " and ".join(clauses)
    with opened() as tracking, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking_sources, "RARE", rare)
        patch.setattr(tracking_walks, "FAR", far)
        patch.setattr(tracking_walks, "FAR_PER_RUN", 0)
        tracking.experiments.create("one")
        made = [store(tracking, index, run) for index, run in enumerate(runs)]
        found, token = [], None
        while True:
            page = tracking.runs.search(
                ["0", "1"], text, order_by=order_by, limit=limit, token=token
            )
            found += [run.id for run in page.items]
            token = page.next_token
            if token is None:
                break
        assert found == expected(made, text, order_by)


SEARCHES = [
    ("", []),
    ("metrics.a > 0.5 and params.digit = '7'", ["metrics.b DESC"]),
    ("metrics.a > 0.5", ["metrics.b ASC"]),
    ("params.rare = 'yes'", ["metrics.b DESC"]),
    ("params.rare = 'yes' and metrics.a > 0.5", []),
    ("metrics.c < 0.0005", ["metrics.a DESC"]),
    ("metrics.c > 0.5 and metrics.c < 0.5005", ["metrics.a DESC"]),
    ("start_time > 1000000 and start_time < 1000100", ["metrics.a"]),
    ("tags.owner = 'o1' and params.rare = 'yes'", ["start_time ASC"]),
    ("status = 'FAILED'", []),
    ("run_name = 'n17'", []),
    # Several keys, and keys that many runs share.
    ("", ["metrics.a", "metrics.b DESC"]),
    ("params.digit = '7'", ["metrics.flat", "metrics.b DESC"]),
    ("", ["params.digit DESC"]),
    ("metrics.a > 0.5", ["params.digit", "tags.owner DESC", "metrics.b"]),
    ("", ["tags.owner", "start_time"]),
    ("params.digit = '3'", ["run_name"]),
    ("metrics.a > 0.5", ["status DESC", "metrics.b"]),
    ("", ["metrics.none"]),
    ("metrics.flat = 1", ["metrics.flat ASC"]),
]


OWN = {"rare", "d", "few"}  # what a search made itself, of few runs


class Noting(Counting):
    """A reader that notes what it is asked."""

    def __init__(self, reader: Any, asked: list[tuple[str, tuple[Any, ...]]]) -> None:
        super().__init__(reader)
        self.asked = asked

    def all(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
        self.asked.append((sql, tuple(values)))
        return super().all(sql, values)

    def one(self, sql: str, values: Any = ()) -> tuple[Any, ...] | None:
        self.asked.append((sql, tuple(values)))
        return super().one(sql, values)


def search(reader: Any, text: str, order_by: list[str], limit: int = 100) -> None:
    query = RunQuery(
        experiment_ids=("0",),
        clauses=parse(text, RUNS),
        orders=parse_orders(order_by, RUNS),
        limit=limit,
    )
    tracking_search.search_runs(reader, query, fields=tracking_search.Fields(), dialect="sqlite")


def steps(path: Path, text: str, order_by: list[str], limit: int = 100) -> int:
    """Thousands of virtual machine steps that a search takes in SQLite."""
    connection = sqlite3.connect(path)
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(tick, 100)
    try:
        search(SqliteReader(connection), text, order_by, limit)
    finally:
        connection.close()
    return count


@pytest.mark.parametrize("far", [3, 20_000])
def test_every_plan_finds_the_same_in_every_database(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, far: int
) -> None:
    """Walks, given up or not, page by page, give what sorting everything gives."""
    fill(tracking, 120)
    monkeypatch.setattr(tracking_sources, "RARE", -1)
    monkeypatch.setattr(tracking_walks, "FAR", far)
    monkeypatch.setattr(tracking_walks, "FAR_PER_RUN", 0)
    everything = list(tracking.runs.search(["0"]).items)
    for text, order_by in SEARCHES:
        found, token = [], None
        while True:
            page = tracking.runs.search(["0"], text, order_by=order_by, limit=7, token=token)
            found += [run.id for run in page.items]
            token = page.next_token
            if token is None:
                break
        assert found == expected(everything, text, order_by), (text, order_by)


def test_the_cost_of_a_search_does_not_grow_with_the_number_of_runs(tmp_path: Path) -> None:
    """Three times the runs take no more steps, also when the filter rarely matches."""
    for runs in (25_000, 75_000):
        with opened(str(tmp_path / f"{runs}.db")) as tracking:
            fill(tracking, runs)
    for text, order_by in SEARCHES:
        small = steps(tmp_path / "25000.db", text, order_by)
        large = steps(tmp_path / "75000.db", text, order_by)
        assert large <= 1.5 * small + 100, (text, order_by, small, large)


def test_conditions_that_are_rarely_true_together_cost_what_the_rarest_costs(
    tmp_path: Path,
) -> None:
    """A walk that gets nowhere is given up, for the runs that meet the rarest condition."""
    path = tmp_path / "runs.db"
    with opened(str(path)) as tracking:
        fill(tracking, 75_000)
    text, order_by = "metrics.a > 0.9 and metrics.c < 0.1 and tags.owner = 'o1'", ["metrics.b"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking_walks, "FAR", 10**9)
        walked = steps(path, text, order_by)
        patch.setattr(tracking_walks, "FAR", 2_000)
        patch.setattr(tracking_walks, "FAR_PER_RUN", 0)
        given_up = steps(path, text, order_by)
    assert 3 * given_up < walked


def test_walks_read_an_index_and_sort_nothing(tmp_path: Path) -> None:
    """No plan of a search reads a whole table or sorts more than runs that are equal so far."""
    path = tmp_path / "runs.db"
    with opened(str(path)) as tracking:
        fill(tracking, 25_000)
    connection = sqlite3.connect(path)
    for text, order_by in SEARCHES:
        asked: list[tuple[str, tuple[Any, ...]]] = []
        search(Noting(SqliteReader(connection), asked), text, order_by)
        assert len(asked) <= 30, (text, order_by, len(asked))
        for sql, values in asked:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert not [step for step in plan if step.startswith("SCAN") and step[5:] not in OWN]
            rare = "SELECT DISTINCT run" in sql
            assert rare or "USE TEMP B-TREE FOR ORDER BY" not in plan, (sql, plan)
    connection.close()


def test_a_search_is_a_fixed_number_of_statements(tracking: Tracking) -> None:
    """A page of 3 runs and a page of 300 read the same number of times."""
    fill(tracking, 400)

    def calls(limit: int) -> int:
        def work(reader: Any) -> int:
            counting = Counting(reader)
            query = RunQuery(
                experiment_ids=("0",),
                clauses=parse("metrics.a > 0.5 and params.digit = '7'", RUNS),
                orders=parse_orders(["metrics.b DESC"], RUNS),
                limit=limit,
            )
            hits = tracking.runs.store.search(counting, query)
            tracking.runs.store.load(counting, [hit.number for hit in hits])
            return counting.calls

        return tracking.runs.database.read(work)

    calls(3)
    assert calls(3) == calls(300) <= 9


def test_tokens_belong_to_their_search(tracking: Tracking) -> None:
    """A token is refused with another filter, changed, or made up."""
    fill(tracking, 50)
    token = tracking.runs.search(["0"], "metrics.a > 0", limit=5).next_token
    assert token is not None
    for text, bad in (
        ("metrics.a > 0.1", token),
        ("metrics.a > 0", token[:-4] + "AAA="),
        ("metrics.a > 0", "eyJvZmZzZXQiOiA1fQ=="),
        ("metrics.a > 0", "\u00e9"),
    ):
        with pytest.raises(Invalid, match="token"):
            tracking.runs.search(["0"], text, limit=5, token=bad)


def test_pages_stay_in_place_while_runs_arrive(tracking: Tracking) -> None:
    """New runs between two pages make no run appear twice or vanish."""
    fill(tracking, 30)
    first = tracking.runs.search(["0"], limit=10)
    tracking.runs.create("0", start_ms=9_999_999)
    rest = tracking.runs.search(["0"], limit=50, token=first.next_token)
    names = [run.name for run in (*first.items, *rest.items)]
    assert names == [f"n{i}" for i in range(29, -1, -1)]


@pytest.mark.parametrize("limit", [0, -1, 50_001, 10**9])
def test_limits_are_limits(tracking: Tracking, limit: int) -> None:
    """Page sizes outside the wire's range are refused."""
    with pytest.raises(Invalid):
        tracking.runs.search(["0"], limit=limit)


@pytest.mark.parametrize(
    "ids", [[], ["nope"], ["-1"], ["9" * 40], ["0; DROP TABLE runs"], ["\u0663"]]
)
def test_unknown_experiments_have_no_runs(tracking: Tracking, ids: list[str]) -> None:
    """Identifiers that name nothing find nothing."""
    fill(tracking, 5)
    assert tracking.runs.search(ids).items == ()
