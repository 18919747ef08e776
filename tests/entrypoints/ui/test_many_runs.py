"""The runs table over many runs: what a page costs does not grow with them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from pages_workspace import Site
from tracking_workspace import Counting, fill

from mainspring._entrypoints._http import Request
from mainspring._entrypoints.ui.runs_table import ROWS, RunsTablePages
from mainspring.core.actor import SYSTEM

QUERIES = (
    "experiment=0",
    "experiment=0&sort=m:a",
    "experiment=0&sort=m:b&order=asc",
    "experiment=0&filter=metrics.c+%3E+0.9",
    "experiment=0&filter=params.rare+%3D+%27yes%27",
    "",
)


class CountingDatabase:
    """A database that counts the statements of reads."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def read(self, work: Any) -> Any:
        def counted(reader: Any) -> Any:
            counting = Counting(reader)
            try:
                return work(counting)
            finally:
                self.statements += counting.calls

        return self._database.read(counted)


def ask(pages: RunsTablePages, query: str) -> str:
    request = Request("GET", "/", query_string=query, headers={}, params={}, actor=SYSTEM)
    answer = pages.table(request)
    assert answer.status == 200
    return answer.body.decode()


def test_a_page_takes_the_same_few_statements_for_any_number_of_runs(empty: Site) -> None:
    """Every sort and filter: no more statements over 8,000 runs than over 1,000, and few."""
    tracking, counts = empty.tracking, []
    database: Any = CountingDatabase(tracking.runs.database)
    counted = replace(
        tracking,
        runs=replace(tracking.runs, database=database),
        experiments=replace(tracking.experiments, database=database),
    )
    pages = RunsTablePages(counted)
    for offset, runs in ((0, 1000), (1000, 7000)):
        fill(tracking, runs, offset=offset)
        taken = []
        for query in QUERIES:
            database.statements = 0
            assert '<td class="pick">' in ask(pages, query)
            taken.append(database.statements)
        counts.append(taken)
    # The first time it also looks names up.
    assert all(many <= few for few, many in zip(*counts, strict=True)), counts
    assert max(counts[0]) <= 20


@pytest.mark.slow
def test_a_page_over_a_hundred_thousand_runs_is_as_quick_as_over_few(empty: Site) -> None:
    """At most four times the processor time of a page over 1,000 runs, for sorts and filters that match."""
    pages, took = RunsTablePages(empty.tracking), []
    for offset, runs in ((0, 1000), (1000, 99_000)):
        fill(empty.tracking, runs, offset=offset)
        best = []
        for query in QUERIES[:4]:
            tries = []
            for _ in range(5):
                began = time.process_time()
                assert ask(pages, query).count('<td class="pick">') == ROWS
                tries.append(time.process_time() - began)
            best.append(min(tries))
        took.append(best)
    print([f"{1000 * one:.1f} ms" for one in took[1]])
    assert all(many < 4 * few for few, many in zip(*took, strict=True)), took
