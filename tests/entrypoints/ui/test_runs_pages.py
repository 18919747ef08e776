"""The table of runs, a run, comparisons, series and files."""

from __future__ import annotations

import json
import re

from pages_workspace import MARKUP, Site, add_run
from test_pages import Page

from mainspring._entrypoints.ui.rendering import address
from mainspring._entrypoints.ui.runs_table import ROWS
from mainspring.tracking import Batch, Point


def names(text: str) -> list[str]:
    """The names of the runs in a table, in order."""
    return re.findall(r'<th scope="row"><a href="/runs/\w+">([^<]*)</a>', text)


def many(found: Site, count: int) -> None:
    for at in range(count):
        run = found.tracking.runs.create("0", name=f"run-{at:03}", start_ms=at)
        points = (Point("loss", float(count - at), 0, 0),)
        batch = Batch(points=points, params=(("depth", str(at % 2)), ("same", "1")))
        found.tracking.runs.log(run.id, batch).result()


def link(text: str, rel: str = 'rel="next"') -> str:
    found = re.search(rf'<a [^>]*{rel} href="([^"]*)"', text)
    assert found, "no further page"
    return found[1].replace("&amp;", "&")


def test_pages_follow_each_other(empty: Site) -> None:
    """Paging shows every run once, in order, and the last page leads nowhere."""
    many(empty, 2 * ROWS + 3)
    target, seen = "/", []
    while True:
        text = empty.get(target).text
        seen += names(text)
        if 'rel="next"' not in text:
            break
        target = link(text)
    assert seen == [f"run-{at:03}" for at in reversed(range(2 * ROWS + 3))]


def test_the_table_sorts_by_a_metric(empty: Site) -> None:
    """A heading leads to the table in its order, and then to the other way round."""
    many(empty, 5)
    up = empty.get(address("", sort="m:loss", order="asc"))
    assert names(up.text) == [f"run-{at:03}" for at in reversed(range(5))]
    assert 'aria-sort="ascending"' in up.text
    assert names(empty.get(address("", sort="m:loss")).text) == [f"run-{at:03}" for at in range(5)]


def test_an_order_without_an_index_is_refused(empty: Site) -> None:
    """Sorting by a parameter would read every run, so it is an error in place."""
    answer = empty.get(address("", sort="p:depth"))
    assert answer.status == 400
    assert 'role="alert"' in answer.text


def test_a_filter_narrows_and_stays(empty: Site) -> None:
    """The filter language works in the page, and paging and sorting keep the filter."""
    many(empty, 4)
    answer = empty.get(address("", filter="params.depth = '1'"))
    assert names(answer.text) == ["run-003", "run-001"]
    assert "filter=params.depth+%3D+%271%27" in answer.text
    none = empty.get(address("", filter="params.depth = '9'"))
    assert "No run matches" in none.text


def test_a_bad_filter_is_told_in_place(empty: Site) -> None:
    """The page comes back with the filter as typed, what is wrong, and what would be right."""
    many(empty, 1)
    for bad in ("metrics.loss <", MARKUP, "a" * 17_000, "(" * 100_000, "metrics.a = \u202e1"):
        answer = empty.get(address("", filter=bad))
        assert answer.status == 400
        assert 'role="alert"' in answer.text
        assert 'aria-invalid="true"' in answer.text
        field = next(f for f in Page(answer.text).all("input") if f.get("id") == "filter")
        assert field["value"] == bad


def test_a_damaged_page_token_is_an_error(empty: Site) -> None:
    """A token that was changed, or of another filter, is refused and never a 500."""
    many(empty, ROWS + 1)
    token = re.search(r"after=([^&\"]+)", empty.get("/").text)
    assert token
    for target in ("/?after=x", f"/?after={token[1]}&filter=params.depth+%3D+%271%27"):
        assert empty.get(target).status == 400


def test_columns_are_chosen_on_the_server(empty: Site) -> None:
    """A chosen column stands beside each run; before anyone chose, what differs is shown."""
    many(empty, 3)
    assert ">depth<" in empty.get("/").text
    text = empty.get(address("", column=["p:same"])).text
    assert '<span class="name">same</span>' in text
    assert '<span class="name">depth</span>' not in text
    assert empty.get("/?column=nonsense").status == 400


def test_the_cost_of_a_page_does_not_grow(empty: Site) -> None:
    """With twenty times the runs the table asks the database as many questions."""

    def steps() -> int:
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        connection = empty.tracking.runs.database._connection
        connection.set_progress_handler(count, 1)
        try:
            assert empty.get("/?experiment=0&sort=m:loss").status == 200
        finally:
            connection.set_progress_handler(None, 0)
        return counted

    many(empty, ROWS + 1)
    few = steps()
    many(empty, 20 * ROWS)
    assert steps() < 2 * few


def test_a_run_shows_what_was_logged(empty: Site) -> None:
    """Status, parameters, latest metrics, tags, datasets, files and lineage are on one page."""
    run_id = add_run(empty.tracking, "calm-river", 0.25)
    text = empty.get(f"/runs/{run_id}").text
    for part in ("calm-river", "finished", "1 h 2 min", "loss", "0.283333", "report.html", "d1"):
        assert part in text, part
    assert f"/charts/series?run={run_id}&amp;metric=loss" in text
    assert "dataset" in text.split('id="lineage"')[1]


def test_a_running_run_looks_again(empty: Site) -> None:
    """Only a run that goes on asks the server for news."""
    running = empty.tracking.runs.create("0", name="now").id
    assert 'hx-trigger="every 5s"' in empty.get(f"/runs/{running}").text
    empty.tracking.runs.update(running, status="FAILED", end_ms=1).result()
    assert "hx-trigger" not in empty.get(f"/runs/{running}").text


def test_series_are_thinned_and_aligned(empty: Site) -> None:
    """A chart gets a bounded number of steps, both ends, and null where there is no number."""
    ids = [empty.tracking.runs.create("0").id for _ in range(2)]
    long = tuple(Point("loss", 1.0 / (1 + step), step, 0) for step in range(5000))
    empty.tracking.runs.log(ids[0], Batch(points=long), most_points=5000).result()
    short = (Point("loss", float("nan"), 0, 0), Point("loss", 0.5, 4999, 0))
    empty.tracking.runs.log(ids[1], Batch(points=short)).result()
    answer = empty.get(address("charts", "series", run=ids, metric="loss"))
    body = json.loads(answer.text)
    assert len(body["steps"]) <= 600
    assert (body["steps"][0], body["steps"][-1]) == (0, 4999)
    first, second = (run["values"] for run in body["runs"])
    assert (first[0], len(first)) == (1.0, len(body["steps"]))
    assert (second[0], second[-1]) == (None, 0.5)
    assert empty.get("/charts/series?metric=loss").status == 400
    assert empty.get(f"/charts/series?run={ids[0]}").status == 400


def test_a_comparison_marks_what_differs(empty: Site) -> None:
    """Parameters that differ come first and say so in words, not by colour alone."""
    ids = [add_run(empty.tracking, f"r{at}", 0.5 + at) for at in range(2)]
    text = empty.get(address("compare", run=ids)).text
    marked = re.findall(r'<tr class="differs"><th scope="row">(\w+) <span class="mark">', text)
    assert marked == ["rate"]
    assert f"run={ids[0]}&amp;run={ids[1]}&amp;metric=loss" in text
    assert empty.get(address("compare", run=[f"{at:032x}" for at in range(9)])).status == 400


def test_a_file_is_a_download_and_nothing_else(empty: Site) -> None:
    """A page among the artifacts never opens in this server's origin."""
    run_id = add_run(empty.tracking, "r", 0.5)
    answer = empty.get(address("runs", run_id, "download", path="report.html"))
    assert answer.text == MARKUP
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("../x", "none", "", "plots", "a\\b", "/etc/passwd"):
        wrong = empty.get(address("runs", run_id, "download", path=path))
        assert wrong.status in {400, 404}, path
        assert empty.get(address("runs", run_id, "files", path="..")).status == 400


def test_the_machine_s_metrics_stand_apart(empty: Site) -> None:
    """They are no columns of their own accord, and fold away below the curves that matter."""
    run = empty.tracking.runs.create("0", name="r")
    points = tuple(
        Point(key, 1.0 * step, step, step) for key in ("auc", "system/cpu_x") for step in range(3)
    )
    empty.tracking.runs.log(run.id, Batch(points=points)).result()
    table = empty.get("/").text
    heads = table.split("<thead>")[1].split("</thead>")[0]
    assert "auc" in heads
    assert "cpu" not in heads
    shown = empty.get(f"/runs/{run.id}").text
    assert shown.index('id="curves"') < shown.index('id="machine"')
    assert "system/<wbr>cpu_<wbr>x" in shown.split('id="machine"')[1]


def test_a_long_fraction_is_short_in_the_table_and_whole_on_the_page(empty: Site) -> None:
    """A parameter such as 1/3 takes six digits in the table; its run's page has all of them."""
    run = empty.tracking.runs.create("0", name="r", start_ms=1)
    params = (("rate", "0.3333333333333333"), ("depth", "7"), ("version", "1.2.3333333333"))
    empty.tracking.runs.log(run.id, Batch(params=params)).result()
    table = empty.get("/").text
    assert ">0.333333<" in table
    assert ">1.2.3333333333<" in table
    assert "0.3333333333333333" in empty.get(f"/runs/{run.id}").text


def test_a_filter_that_cannot_be_read_is_shown_one_that_can(empty: Site) -> None:
    """Where the store has no better advice, the page shows what a condition looks like."""
    answer = empty.get("/?filter=metrics.%20%3E%209")
    assert answer.status == 400
    assert "Conditions look like: metrics.loss" in answer.text


def test_a_run_leads_to_those_inside_it_and_back(empty: Site) -> None:
    """A search's trials stand in its page with their metrics, and each names the search."""
    runs = empty.tracking.runs
    outer = runs.create("0", name="search")
    trials = [
        runs.create("0", name=f"trial {n}", start_ms=n, tags={"mlflow.parentRunId": outer.id})
        for n in range(2)
    ]
    runs.log(trials[1].id, Batch(points=(Point("loss", 0.25, 0, 0),))).result()
    text = empty.get(f"/runs/{outer.id}").text
    assert names(text) == ["trial 1", "trial 0"]
    assert "0.25" in text
    assert f'href="/runs/{outer.id}"' in empty.get(f"/runs/{trials[0].id}").text
    assert "Runs inside" not in empty.get(f"/runs/{trials[0].id}").text
