"""The first page: the runs of an experiment as a table.

What it costs depends on the rows of one page, never on how many runs there are: it sorts only by
what the store has an index to walk, pages by key, and counts nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints._http.errors import status_of
from mainspring._entrypoints.ui.figures import number
from mainspring._entrypoints.ui.rendering import READ_RUNS, address, one, page
from mainspring.core.errors import Invalid, MainspringError
from mainspring.core.pages import Page
from mainspring.tracking import Experiment, Run, Tracking
from mainspring.tracking.types import DEFAULT_EXPERIMENT

ROWS: Final = 50
MAX_COLUMNS: Final = 24
_METRICS: Final = 4
_PARAMS: Final = 3
_EXPERIMENTS: Final = 500
_LOOKED_AT: Final = 20
_LONGEST: Final = 120  # characters of a parameter; the run's page has all of it
_FRACTION: Final = re.compile(r"-?\d{1,9}\.\d{7,20}")  # shortened like a metric
_STARTED: Final = "started"
MACHINE: Final = "system/"  # metrics of the machine, not of the model


class Column(msgspec.Struct, frozen=True):
    """A metric (``m:loss``) or a parameter (``p:rate``) shown beside each run."""

    kind: str
    key: str

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.key}"

    @property
    def is_metric(self) -> bool:
        return self.kind == "m"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks the table for."""

    experiment: str = ""
    filter: str = ""
    sort: str = _STARTED
    order: str = "desc"
    columns: tuple[Column, ...] = ()
    after: str = ""

    def address(self, **changed: Any) -> str:
        """The address that asks for this, with changes."""
        ask = replace(self, **changed)
        return address(
            "",
            experiment=ask.experiment,
            filter=ask.filter,
            sort="" if ask.sort == _STARTED else ask.sort,
            order="" if ask.order == "desc" else ask.order,
            column=[column.id for column in ask.columns],
            after=ask.after,
        )

    def sorted_by(self, key: str) -> str:
        """The address that sorts by a key; the other way round when it is sorted by it already."""
        turned = "asc" if self.sort == key and self.order == "desc" else "desc"
        return self.address(sort=key, order=turned, after="")

    def direction(self, key: str) -> str:
        """What ``aria-sort`` says of a column."""
        if self.sort != key:
            return "none"
        return "ascending" if self.order == "asc" else "descending"


def read_ask(request: Request) -> Ask:
    """What a request asks for. Errors: ``http.bad_query``."""
    fields = request.query()
    last = {name: values[-1] for name, values in fields.items()}
    names = list(dict.fromkeys(fields.get("column", ())))[:MAX_COLUMNS]
    return Ask(
        experiment=last.get("experiment", ""),
        filter=last.get("filter", "").strip(),
        sort=last.get("sort", _STARTED),
        order="asc" if last.get("order") == "asc" else "desc",
        columns=tuple(_column(name) for name in names),
        after=last.get("after", ""),
    )


def _column(name: str) -> Column:
    kind, _, key = name.partition(":")
    if kind not in {"m", "p"} or not key:
        raise Invalid(
            "http.bad_query",
            f"{name[:80]!r} is not a column.",
            hint="A column is m:METRIC or p:PARAMETER.",
        )
    return Column(kind, key)


def order_text(ask: Ask) -> str:
    """The order as the store reads it. Errors: ``http.bad_query`` for a key without an index."""
    kind, _, key = ask.sort.partition(":")
    if ask.sort != _STARTED and (kind != "m" or not key):
        raise Invalid(
            "http.bad_query",
            f"The table is not sorted by {ask.sort[:80]!r}.",
            hint="Sort by a metric, or by when runs started.",
        )
    quoted = key.replace('"', '""')
    name = "attributes.start_time" if ask.sort == _STARTED else f'metrics."{quoted}"'
    return f"{name} {ask.order.upper()}"


def known_columns(runs: Sequence[Run]) -> list[Column]:
    """Every metric and parameter of these runs, metrics first, the most frequent first."""
    metrics = Counter(point.key for run in runs for point in run.metrics)
    params = Counter(key for run in runs for key in run.params)
    counted = [(Column("m", key), n) for key, n in metrics.items()]
    counted += [(Column("p", key), n) for key, n in params.items()]

    def rank(entry: tuple[Column, int]) -> tuple[bool, bool, int, str]:
        column, count = entry
        return not column.is_metric, column.key.startswith(MACHINE), -count, column.key

    return [column for column, _ in sorted(counted, key=rank)]


def first_columns(known: Sequence[Column], runs: Sequence[Run]) -> tuple[Column, ...]:
    """The columns before anyone chose: a few metrics, and the parameters that differ most."""
    measured = [column for column in known if column.is_metric]
    own = [column for column in measured if not column.key.startswith(MACHINE)]
    metrics = (own or measured)[:_METRICS]
    params = [column for column in known if not column.is_metric]
    values = {column: len({run.params.get(column.key) for run in runs}) for column in params}
    telling = [column for column in params if values[column] > 1] or params
    telling.sort(key=lambda column: -values[column])
    return (*metrics, *telling[:_PARAMS])


def cell(run: Run, column: Column) -> str:
    """What a run shows in a column; empty when it has nothing there."""
    if not column.is_metric:
        value = run.params.get(column.key, "")
        if _FRACTION.fullmatch(value):
            return number(float(value))
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    return next((number(point.value) for point in run.metrics if point.key == column.key), "")


@dataclass(frozen=True, slots=True)
class RunsTablePages:
    """The handler of the table."""

    tracking: Tracking

    def routes(self) -> list[Route]:
        return [Route("GET", "/", self.table, READ_RUNS)]

    def table(self, request: Request) -> Response:
        error: MainspringError | None = None
        runs: Page[Run] = Page(())
        ask = Ask(experiment=one(request, "experiment"), filter=one(request, "filter").strip())
        experiments, chosen = self._experiments(ask.experiment)
        try:
            ask = read_ask(request)
            runs = self._runs(chosen, ask)
        except Invalid as fault:
            error = fault
        known = known_columns(runs.items)
        ask = replace(
            ask, experiment=chosen.id, columns=ask.columns or first_columns(known, runs.items)
        )
        return page(
            "runs.html",
            status=status_of(error) if error else 200,
            area="runs",
            ask=ask,
            experiments=experiments,
            chosen=chosen,
            runs=runs.items,
            more=runs.next_token,
            choices=list(dict.fromkeys((*ask.columns, *known))),
            cell=cell,
            error=error,
        )

    def _experiments(self, wanted: str) -> tuple[list[Experiment], Experiment]:
        """The experiments to choose from, newest first, and the chosen one."""
        found = list(self.tracking.experiments.search(limit=_EXPERIMENTS).items)
        chosen = self.tracking.experiments.get(wanted or self._busiest(found[:_LOOKED_AT]))
        if chosen not in found:
            found.insert(0, chosen)
        return found, chosen

    def _busiest(self, experiments: Sequence[Experiment]) -> str:
        """The experiment with the newest run among a few, so that a first look finds something."""
        if not experiments:
            return DEFAULT_EXPERIMENT
        newest = self.tracking.runs.search([one.id for one in experiments], limit=1).items
        return newest[0].experiment_id if newest else experiments[0].id

    def _runs(self, chosen: Experiment, ask: Ask) -> Page[Run]:
        return self.tracking.runs.search(
            [chosen.id],
            ask.filter,
            order_by=[order_text(ask)],
            limit=ROWS,
            token=ask.after or None,
        )
