from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking_workspace import Counting, opened

from mainspring._adapters.sql.tracking_traces import SqlTraces
from mainspring._adapters.sql.tracking_traces_sources import FEW, driver
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.tracking import Tracking
from mainspring.tracking.filters import TRACES, parse, parse_orders
from mainspring.tracking.matching import directions, matches, order_values, sort_key
from mainspring.tracking.traces_judging import Change
from mainspring.tracking.traces_ports import TraceQuery
from mainspring.tracking.traces_types import NAME, RUN, Assessment, Incoming, Span, Trace
from mainspring.tracking.traces_values import as_text, from_json, to_json

MS = 1_000_000
# The source itself, once it is found, and an index of nothing but what is sought.
OWN = {"SCAN few", "SCAN u", "SCAN spans USING INDEX spans_failed"}


def trace_id(number: int) -> str:
    return f"tr-{number + 1:032x}"


def span(number: int, *, parent: int | None = None, start: int = 1, **fields: Any) -> Span:
    above = "" if parent is None else f"{parent + 1:016x}"
    fields = {"name": f"s{number}", "end_ns": (start + 1) * MS, **fields}
    return Span(id=f"{number + 1:016x}", parent=above, start_ns=start * MS, **fields)


def judged(name: str, value: Any, **fields: Any) -> Assessment:
    fields = {"id": f"a-{name}", "kind": "feedback", "created_ms": 1, "updated_ms": 1, **fields}
    return Assessment(name=name, value=value, **fields)


def record(tracking: Tracking, number: int, *spans: Span, **options: Any) -> Trace:
    tracking.traces.record("0", [Incoming(trace_id(number), one) for one in spans], **options)
    return tracking.traces.get(trace_id(number))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.sampled_from("~bytesdoul"), max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and math.isnan(left):
        return isinstance(right, float) and math.isnan(right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    return type(left) is type(right) and left == right


@given(VALUES)
def test_attribute_values_survive_json(value: Any) -> None:
    """Whatever a span's attribute holds comes back the same, in type too."""
    assert same(value, from_json(to_json(value)))


def test_spans_come_back_whole(tracking: Tracking) -> None:
    """Every field of a span, with bytes and NaN among its attributes, is kept."""
    attributes = {"a": b"\x00\xff", "b": math.inf, "c": [1, 1.0, {"d": None}], "e'\"$.": "größe"}
    full = span(
        0, status="ERROR", message="m", kind=3, flags=257, state="x=y", attributes=attributes
    )
    record(tracking, 0, full, span(1, parent=0))
    _, found = tracking.traces.whole(trace_id(0))
    assert found == [full, span(1, parent=0)]


def test_a_trace_grows_with_its_spans(tracking: Tracking) -> None:
    """Begin, end, state, previews, tokens and people of a trace that only its spans tell."""
    usage = {"input_tokens": 2, "total_tokens": 5}
    child = span(1, parent=0, start=5, attributes={"mlflow.chat.tokenUsage": usage})
    begun = record(tracking, 0, child)
    assert (begun.state, begun.start_ms, begun.duration_ms) == ("IN_PROGRESS", 5, 1)
    told = {"mlflow.spanInputs": {"q": 1}, "mlflow.traceTag.team": "x", "session.id": "s"}
    ended = record(tracking, 0, span(0, start=2, end_ns=9 * MS, name="root", attributes=told))
    assert (ended.state, ended.start_ms, ended.duration_ms) == ("OK", 2, 7)
    assert (ended.tags[NAME], ended.tags["team"], ended.request) == ("root", "x", '{"q":1}')
    assert ended.metadata["mlflow.trace.tokenUsage"] == '{"input_tokens":2,"total_tokens":5}'
    assert ended.metadata["mlflow.trace.session"] == "s"


def test_a_sum_above_covers_those_below(tracking: Tracking) -> None:
    """Tokens of a span stand for its children's, however the spans arrive."""
    key = "mlflow.chat.tokenUsage"
    record(tracking, 0, span(1, parent=0, attributes={key: {"total_tokens": 3}}))
    found = record(tracking, 0, span(0, attributes={key: {"total_tokens": 4}}))
    assert found.metadata["mlflow.trace.tokenUsage"] == '{"total_tokens":4}'


def test_what_the_client_tells_wins(tracking: Tracking) -> None:
    """A trace told by its client, before or after its spans, has the client's times and state."""
    for number, first in enumerate(("spans", "client")):
        told = Trace(
            id=trace_id(number),
            experiment_id="0",
            start_ms=100,
            duration_ms=7,
            state="OK",
            finished=True,
            metadata={"a": "b"},
        )
        if first == "client":
            tracking.traces.start(told)
        record(tracking, number, span(0, start=1, status="ERROR"))
        if first == "spans":
            tracking.traces.start(told)
        found = tracking.traces.get(told.id)
        assert (found.start_ms, found.duration_ms, found.state) == (100, 7, "OK")
        assert found.metadata == {"a": "b"}
        assert found.tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"
        assert found.tags["mlflow.artifactLocation"].endswith(f"/traces/{told.id}/artifacts")


def test_a_batch_of_spans_is_whole_or_nothing(tracking: Tracking) -> None:
    """One span that cannot be stored, and none of its batch is."""
    for bad in (
        span(1, name="a\x00b"),
        span(1, attributes={"a": "\x00"}),
        Span(id="0" * 16, name="x", start_ns=1),
        Span(id="xyz", name="x", start_ns=1),
        Span(id="1" * 16, name="x", start_ns=2**63),
    ):
        with pytest.raises(Invalid):
            record(tracking, 0, span(0), bad)
    with pytest.raises(NotFound):
        tracking.traces.record("77", [Incoming(trace_id(0), span(0))])
    with pytest.raises(NotFound):
        record(tracking, 0, span(0), run_id="nothing")
    assert tracking.traces.search(["0"]).items == ()


def test_a_trace_that_is_not_whole_says_so(tracking: Tracking) -> None:
    """Spans that the client announced are waited for, unless part of them is enough."""
    sizes = {"mlflow.trace.sizeStats": '{"num_spans": 2}'}
    told = Trace(id=trace_id(0), experiment_id="0", start_ms=1, finished=True, metadata=sizes)
    tracking.traces.start(told)
    record(tracking, 0, span(0))
    with pytest.raises(NotFound, match="not fully exported"):
        tracking.traces.whole(trace_id(0))
    assert len(tracking.traces.whole(trace_id(0), partial=True)[1]) == 1
    record(tracking, 0, span(1, parent=0))
    assert len(tracking.traces.whole(trace_id(0))[1]) == 2


def test_traces_of_a_deleted_experiment_are_refused(tracking: Tracking) -> None:
    """A deleted experiment takes neither traces nor spans."""
    made = tracking.experiments.create("gone").id
    tracking.experiments.delete(made)
    with pytest.raises(Conflict):
        tracking.traces.start(Trace(id=trace_id(0), experiment_id=made, start_ms=1))
    with pytest.raises(Conflict):
        tracking.traces.record(made, [Incoming(trace_id(0), span(0))])


def test_deleting_takes_all_that_belongs_to_a_trace(tracking: Tracking) -> None:
    """Spans, tags, links, assessments and files go with the trace; the oldest go first."""
    for number in range(4):
        record(tracking, number, span(0, start=10 + number))
    folder = f"0/traces/{trace_id(0)}/artifacts"
    tracking.artifacts.put(f"{folder}/traces.json", b"{}")
    tracking.assessments.create(trace_id(0), judged("q", 1))
    run = tracking.runs.create("0")
    tracking.traces.link([trace_id(0)], run.id)
    assert tracking.traces.delete("0", until_ms=12, limit=1) == 1
    left = [trace.id for trace in tracking.traces.search(["0"]).items]
    assert left == [trace_id(3), trace_id(2), trace_id(1)]
    assert tracking.artifacts.entries(folder) == []
    assert tracking.traces.delete("0", ids=[trace_id(1), trace_id(1), "tr-none"]) == 1
    assert tracking.traces.delete("0", until_ms=12) == 1
    for options in ({}, {"until_ms": 1, "ids": ["x"]}, {"ids": ["x"], "limit": 1}, {"limit": 1}):
        with pytest.raises(Invalid):
            tracking.traces.delete("0", **options)
    count = tracking.traces.database.read(
        lambda db: [db.one(f"SELECT COUNT(*) FROM {t}") for t in ("trace_links", "assessments")]
    )
    assert count == [(0,), (0,)]
    record(tracking, 0, span(0))
    assert tracking.traces.get(trace_id(0)).assessments == ()


def test_assessments_change_and_override(tracking: Tracking) -> None:
    """A new judgement makes the old one invalid until it is withdrawn; kinds do not mix."""
    record(tracking, 0, span(0))
    judge = tracking.assessments
    judge.create(trace_id(0), judged("q", 0.5, metadata={"a": "1"}))
    judge.create(trace_id(0), judged("q2", 0.7, overrides="a-q"))
    assert not judge.get(trace_id(0), "a-q").valid
    judge.withdraw(trace_id(0), "a-q2")
    judge.withdraw(trace_id(0), "a-q2")
    assert judge.get(trace_id(0), "a-q").valid
    changed = judge.change(
        trace_id(0), "a-q", Change(kind="feedback", value="better", metadata={"b": "2"})
    )
    assert (changed.value, changed.metadata) == ("better", {"a": "1", "b": "2"})
    kept = judge.change(trace_id(0), "a-q", Change(rationale="since"))
    assert (kept.value, kept.rationale) == ("better", "since")
    with pytest.raises(Invalid):
        judge.change(trace_id(0), "a-q", Change(kind="expectation", value=1))
    with pytest.raises(Invalid):
        judge.create(trace_id(0), judged("q", 1))
    with pytest.raises(NotFound):
        judge.create(trace_id(0), judged("q3", 1, overrides="none"))
    with pytest.raises(NotFound):
        judge.create(trace_id(7), judged("q3", 1))
    assert [one.id for one in tracking.traces.get(trace_id(0)).assessments] == ["a-q"]


WORDS = st.sampled_from(["a", "A", "ab", "%", "x*y", "", "[q]", "ü"])
FOUND = st.fixed_dictionaries(
    {
        "start": st.integers(0, 3),
        "duration": st.none() | st.integers(0, 3),
        "state": st.sampled_from(["OK", "ERROR"]),
        "tags": st.dictionaries(st.sampled_from(["t", NAME]), WORDS.filter(bool), max_size=2),
        "metadata": st.dictionaries(st.sampled_from(["m", RUN]), WORDS, max_size=2),
        "feedback": st.none() | st.sampled_from([1, 0.5, "a", True, ["a"]]),
    }
)
LITERAL = WORDS.map(lambda word: "'" + word + "'")
CLAUSE = st.one_of(
    st.builds(
        lambda key, op, value: f"{key} {op} {value}",
        st.sampled_from(["tags.t", "metadata.m", "name", "run_id", "feedback.f", "tag.none"]),
        st.sampled_from(["=", "!=", "LIKE", "ILIKE"]),
        LITERAL,
    ),
    st.builds(
        lambda key, op, value: f"{key} {op} {value}",
        st.sampled_from(["timestamp", "execution_time_ms", "end_time", "feedback.f"]),
        st.sampled_from(["<", "<=", ">", ">="]),
        st.sampled_from(["0", "1", "2", "0.5"]),
    ),
    st.builds(
        lambda key, op: f"{key} {op}",
        st.sampled_from(["tags.t", "metadata.m", "feedback.f", "expectation.f"]),
        st.sampled_from(["IS NULL", "IS NOT NULL"]),
    ),
    st.sampled_from(["status = 'OK'", "trace.status IN ('ERROR')", "status NOT IN ('ERROR', 'x')"]),
)
ORDER = st.sampled_from(
    ["timestamp", "execution_time DESC", "end_time", "name", "tags.t DESC", "status", "run_id"]
)


def look(trace: Trace, kind: str, key: str) -> Any:
    end = None if trace.duration_ms is None else trace.start_ms + trace.duration_ms
    judgement = next(iter(trace.assessments), None)
    if kind == "feedback":
        return None if judgement is None else _Judged(judgement.value)
    if kind in {"tag", "metadata"}:
        return (trace.tags if kind == "tag" else trace.metadata).get(key)
    return {
        "name": trace.tags.get(NAME),
        "run_id": trace.metadata.get(RUN),
        "status": trace.state,
        "timestamp_ms": trace.start_ms,
        "execution_time_ms": trace.duration_ms,
        "end_time_ms": end,
        "f": None,
    }.get(key)


class _Judged(str):
    """A judgement compares as text with text, and as a number with numbers."""

    __slots__ = ("number",)

    def __new__(cls, value: Any) -> Self:
        made = super().__new__(cls, as_text(value))
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        made.number = value if plain else math.nan
        return made

    def __lt__(self, other: Any) -> bool:
        return self.number < other

    def __le__(self, other: Any) -> bool:
        return self.number <= other

    def __gt__(self, other: Any) -> bool:
        return self.number > other

    def __ge__(self, other: Any) -> bool:
        return self.number >= other

    __hash__ = str.__hash__


@settings(max_examples=200, deadline=None)
@given(
    st.lists(FOUND, max_size=6),
    st.lists(CLAUSE, max_size=3),
    st.lists(ORDER, max_size=2, unique=True),
    st.integers(1, 4),
    st.sampled_from((0, 2, FEW)),
)
def test_a_search_means_what_the_values_mean(
    found: list[dict[str, Any]], clauses: list[str], order_by: list[str], limit: int, few: int
) -> None:
    """Every plan, at every page size, gives what the filter means on values, in order."""
    text = " and ".join(clauses)
    with opened() as opened_tracking:
        store = SqlTraces("sqlite", few=few)
        tracking = replace(opened_tracking, traces=replace(opened_tracking.traces, store=store))
        made = [_stored(tracking, number, asked) for number, asked in enumerate(found)]
        got, token = [], None
        while True:
            page = tracking.traces.search(["0"], text, order_by=order_by, limit=limit, token=token)
            got += [trace.id for trace in page.items]
            token = page.next_token
            if token is None:
                break
        orders = parse_orders(order_by, TRACES)
        key = sort_key([*directions(orders), True, False])
        rows = [
            [*order_values(trace, orders, look), trace.start_ms, trace.id]
            for trace in made
            if matches(trace, parse(text, TRACES), look)
        ]
        assert got == [row[-1] for row in sorted(rows, key=key)]


def _stored(tracking: Tracking, number: int, asked: dict[str, Any]) -> Trace:
    judgement = asked["feedback"]
    return tracking.traces.start(
        Trace(
            id=trace_id(number),
            experiment_id="0",
            start_ms=asked["start"],
            duration_ms=asked["duration"],
            state=asked["state"],
            tags=asked["tags"],
            metadata=asked["metadata"],
            assessments=() if judgement is None else (judged("f", judgement),),
        )
    )


def test_spans_are_searched(tracking: Tracking) -> None:
    """Conditions on spans hold for one span together; text is found in any of them."""
    record(tracking, 0, span(0, name="a", attributes={"k.d": "x", "n": 5, "ok": True}))
    record(tracking, 1, span(0, name="a"), span(1, name="b", attributes={"k.d": "x"}))
    record(tracking, 2, span(0, attributes={"$": "größe", "mlflow.spanType": "TOOL"}))

    def found(text: str) -> list[int]:
        return sorted(
            int(trace.id[3:], 16) - 1 for trace in tracking.traces.search(["0"], text).items
        )

    assert found("span.name = 'a'") == [0, 1]
    assert found("span.name = 'a' and span.attributes.k.d = 'x'") == [0]
    assert found("span.attributes.n = '5' and span.attributes.ok = 'true'") == [0]
    assert found("span.attributes.`$` LIKE '%ö%'") == [2]
    assert found("span.type IN ('TOOL', 'LLM')") == [2]
    assert found("trace.text ILIKE '%TOOL%'") == [2]
    assert found("text LIKE '%größe%'") == [2]
    assert found("span.status = 'UNSET' and span.content LIKE '%k.d%'") == [0, 1]


def test_traces_are_tied_to_runs_and_prompts(tracking: Tracking) -> None:
    """A run's traces are those it made and those tied to it; a trace's prompts are found."""
    run = tracking.runs.create("0")
    record(tracking, 0, span(0), run_id=run.id)
    record(tracking, 1, span(0))
    record(tracking, 2, span(0))
    tracking.traces.link([trace_id(1), trace_id(1), "tr-none"], run.id)
    found = tracking.traces.search(["0"], f"run_id = '{run.id}'", order_by=["request_id"])
    assert [trace.id for trace in found.items] == [trace_id(0), trace_id(1)]
    tracking.traces.link_prompts(trace_id(2), ["greet/1"])
    [only] = tracking.traces.search(["0"], "prompt = 'greet/1'").items
    assert only.id == trace_id(2)
    with pytest.raises(NotFound):
        tracking.traces.link([trace_id(0)], "f" * 32)
    with pytest.raises(Invalid):
        tracking.traces.link(["tr-x"] * 101, run.id)


@pytest.mark.parametrize(
    "text",
    [
        "nothing = 'x'",
        "span.nothing = 'x'",
        "text = 'x'",
        "span.content = 'x'",
        "status > 'OK'",
        "status IS NULL",
        "tags.x IN ('a')",
        "feedback.q > 'x'",
        "feedback.q = 1",
        "name RLIKE '(a+)+$'",
        "metrics.m > 1",
        "status = 'OK' or status = 'ERROR'",
    ],
)
def test_bad_searches_are_refused(tracking: Tracking, text: str) -> None:
    """What the language lacks is an error, not an empty answer."""
    with pytest.raises(Invalid):
        tracking.traces.search(["0"], text)


def test_bad_orders_and_pages_are_refused(tracking: Tracking) -> None:
    """Orders by text, unknown tokens and odd limits are errors."""
    for order in ("text", "prompt DESC", "span.name", "nothing"):
        with pytest.raises(Invalid):
            tracking.traces.search(["0"], order_by=[order])
    with pytest.raises(Invalid):
        tracking.traces.search(["0"], token="x")
    for limit in (0, 501):
        with pytest.raises(Invalid):
            tracking.traces.search(["0"], limit=limit)


def test_the_number_of_statements_does_not_grow(tracking: Tracking) -> None:
    """A page of 3 traces and one of 300, a batch of 2 spans and one of 200: as many statements."""
    for number in range(300):
        record(tracking, number, span(0))

    def reading(limit: int) -> int:
        def work(reader: Any) -> int:
            counting = Counting(reader)
            query = TraceQuery(
                experiment_ids=("0",), clauses=parse("status = 'OK'", TRACES), limit=limit
            )
            hits = tracking.traces.store.search(counting, query)
            assert len(tracking.traces.store.find(counting, [hit.id for hit in hits])) == limit
            return counting.calls

        return tracking.traces.database.read(work)

    def writing(count: int) -> int:
        def work(tx: Any) -> int:
            counting = Counting(tx)
            spans = [span(number) for number in range(count)]
            tracking.traces.store.add_spans(counting, trace_id(0), spans)
            return counting.calls

        return tracking.traces.database.write(work)

    assert reading(3) == reading(300) == 4
    assert writing(2) == writing(200) == 2


def test_a_page_of_the_newest_walks_an_index() -> None:
    """Without a filter, a page of traces is read along an index, and nothing is sorted."""
    sql = (
        "EXPLAIN QUERY PLAN SELECT t.uuid, t.start_ms FROM traces t WHERE t.experiment IN (0) "
        "ORDER BY t.start_ms DESC, t.uuid ASC LIMIT 10"
    )
    with opened() as tracking:
        plan = str(tracking.traces.database.read(lambda db: db.all(sql)))
    assert "traces_newest" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    "text",
    [
        "tags.owner = 'x'",
        "metadata.k IS NOT NULL",
        "name IN ('a', 'b')",
        "run_id = 'r'",
        "prompt = 'p/1'",
        "trace_id = 'tr-1'",
        "client_request_id = 'c'",
        "status = 'ERROR'",
        "execution_time > 5",
        "span.name = 's'",
        "span.type IN ('LLM')",
        "span.status = 'ERROR'",
        "feedback.q = 'good'",
        "feedback.q > 0.5",
        "expectation.q IS NOT NULL",
    ],
)
def test_a_condition_that_an_index_knows_reads_no_table(text: str) -> None:
    """What drives a search for few traces is found along an index, and every trace by its row."""
    with opened() as tracking:
        clauses = parse(text, TRACES)

        def work(reader: Any) -> list[str]:
            begin = driver(reader, clauses, [0], FEW)
            assert begin is not None
            rows = reader.all(
                f"EXPLAIN QUERY PLAN SELECT t.uuid FROM (SELECT DISTINCT trace FROM ({begin.sql}) "
                "u) few CROSS JOIN traces t WHERE t.id = few.trace ORDER BY t.start_ms DESC",
                begin.values,
            )
            return [row[3] for row in rows]

        plan = tracking.traces.database.read(work)
    assert not [step for step in plan if step.startswith("SCAN") and step not in OWN], plan
    assert "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)" in plan


@pytest.mark.parametrize("text", ["span.content LIKE '%x%'", "tags.a != 'b'", "status != 'OK'"])
def test_what_no_index_knows_is_asked_of_one_trace_after_the_other(text: str) -> None:
    """Such a search walks the traces by time."""
    with opened() as tracking:
        clauses = parse(text, TRACES)
        assert tracking.traces.database.read(lambda db: driver(db, clauses, [0], FEW)) is None
