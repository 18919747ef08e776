"""Traces on pages: the table, the waterfall, one span at a time."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from pages_workspace import Site, add_trace

from mainspring._entrypoints.ui.waterfall import MAX_SPANS, SCALE, lasted, rows
from mainspring.tracking.traces_types import Incoming, Span

Trees = st.lists(
    st.builds(
        Span,
        id=st.sampled_from([f"{n:02x}" for n in range(12)]),
        name=st.just("s"),
        parent=st.sampled_from(["", "ff", *(f"{n:02x}" for n in range(12))]),
        start_ns=st.integers(0, 2**62),
        end_ns=st.integers(0, 2**62),
    ),
    unique_by=lambda span: span.id,
)


@given(Trees)
def test_every_span_has_one_row_inside_the_drawing(spans: list[Span]) -> None:
    """Whatever the parents say, circles too; a bar is seen and stays in its place."""
    found = rows(spans)
    assert sorted(row.span.id for row in found) == sorted(span.id for span in spans)
    for row in found:
        assert 0 <= row.left <= SCALE
        assert row.width > 0
        assert row.left + row.width <= SCALE + 0.1


def test_children_stand_below_their_parent_in_order_of_time() -> None:
    """Depth first; each bar has its share of the whole."""
    spans = [
        Span(id="c", name="second", parent="a", start_ns=60, end_ns=100),
        Span(id="b", name="first", parent="a", start_ns=20, end_ns=40),
        Span(id="d", name="inner", parent="b", start_ns=20, end_ns=30),
        Span(id="a", name="root", start_ns=0, end_ns=100),
    ]
    found = [(row.span.name, row.depth, row.left, row.width) for row in rows(spans)]
    assert found == [
        ("root", 0, 0.0, 1000.0),
        ("first", 1, 200.0, 200.0),
        ("inner", 2, 200.0, 100.0),
        ("second", 1, 600.0, 400.0),
    ]


def test_a_tree_may_be_as_deep_as_it_has_spans() -> None:
    """No recursion ends it."""
    chain = [Span(id=f"{n}", name="s", parent=f"{n - 1}", start_ns=n) for n in range(5000)]
    assert [row.depth for row in rows(chain)] == list(range(5000))


def test_durations_read_in_their_unit() -> None:
    """Seconds, milliseconds, microseconds."""
    told = [lasted(n) for n in (2_500_000_000, 1_234_567, 1_000)]
    assert told == ["2.50 s", "1.23 ms", "1 µs"]


def test_the_table_filters_and_leads_to_the_trace(empty: Site) -> None:
    """A filter that cannot be read is told on the page, with what was typed."""
    trace_id = add_trace(empty.tracking, "0")
    assert f"/traces/{trace_id}" in empty.get("/traces").text
    assert f"/traces/{trace_id}" in empty.get("/traces?filter=status+%3D+%27OK%27").text
    none = empty.get("/traces?filter=status+%3D+%27ERROR%27")
    assert (none.status, "No trace matches" in none.text) == (200, True)
    bad = empty.get("/traces?filter=nothing+%3D")
    assert bad.status == 400
    assert 'value="nothing ="' in bad.text
    assert 'role="alert"' in bad.text


def test_pages_of_traces_go_on(empty: Site) -> None:
    """Every trace once, the newest first."""
    ids = [add_trace(empty.tracking, "0", number) for number in range(1, 121)]
    target, seen = "/traces", []
    while target:
        text = empty.get(target).text
        seen += re.findall(r'<th scope="row"><a href="/traces/(tr-[0-9a-f]+)"', text)
        more = re.search(r'rel="next" href="([^"]+)"', text)
        target = more[1].replace("&amp;", "&") if more else ""
    assert sorted(seen) == sorted(ids)


def test_one_span_is_told_in_full(empty: Site) -> None:
    """The one that failed first, or the one asked for; an unknown one changes nothing."""
    trace_id = add_trace(empty.tracking, "0")
    first = empty.get(f"/traces/{trace_id}").text
    assert '<h2 id="span">&#34;&gt;&lt;img' in first
    assert '<h2 id="span">open' in empty.get(f"/traces/{trace_id}?span={'c' * 16}").text
    assert empty.get(f"/traces/{trace_id}?span=none").text == first
    assert empty.get("/traces/tr-none").status == 404


def test_a_page_shows_so_many_spans_at_most(empty: Site) -> None:
    """And says of how many."""
    spans = [
        Span(id=f"{n:016x}", name="s", start_ns=n, end_ns=n + 1) for n in range(1, MAX_SPANS + 10)
    ]
    empty.tracking.traces.record("0", [Incoming(f"tr-{7:032x}", span) for span in spans])
    text = empty.get(f"/traces/tr-{7:032x}").text
    assert text.count("<rect") == MAX_SPANS
    assert f"The first {MAX_SPANS} of {MAX_SPANS + 9}." in text


def test_an_empty_page_tells_how_traces_come(empty: Site) -> None:
    """Both ways in are whole: the client's experiment, and the header that an exporter needs."""
    experiment = empty.tracking.experiments.create("asked").id
    text = empty.get(f"/traces?experiment={experiment}").text
    assert f'set_experiment(experiment_id="{experiment}")' in text
    assert f"x-mlflow-experiment-id: {experiment}" in text
