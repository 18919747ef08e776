"""``mainspring runs``: tracked runs, with what they were given and what they reached."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli import (
    runs_changing,
    runs_showing,
    runs_sync,
    runs_transfer,
    watching,
)
from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import count, verb, verbs
from mainspring._entrypoints.cli.run_words import (
    lasted,
    metric_values,
    moment_of,
    plain,
    status_word,
    trends,
    whole_id,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mainspring._bootstrap.workspace import Workspace
    from mainspring.core.pages import Page
    from mainspring.tracking import Run

_SHOWN_METRICS = 3
_MACHINE = "system/"  # what a run notes of its machine comes last
_NONE_YET = (
    "No run yet. Training code logs them: with mainspring.open(), or with MLflow and "
    "MLFLOW_TRACKING_URI at a server of this workspace."
)
_NONE_MATCH = "No run matches."


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``runs``."""
    among = verbs(parser)
    _add_ls(among)
    runs_showing.add(among)
    compare = verb(among, "compare", run_compare, "several runs side by side, where they differ")
    compare.add_argument("run_ids", metavar="RUN", nargs="+", help="ids, or their beginnings")
    compare.add_argument("--all", action="store_true", help="also what is the same in all")
    watching.add(among)
    runs_changing.add(among)
    runs_sync.add(among)
    runs_transfer.add(among)


def _add_ls(among: Any) -> None:
    ls = verb(
        among,
        "ls",
        run_ls,
        "runs, newest first",
        more="A filter is written as MLflow writes it: \"metrics.auc > 0.7 AND params.depth = '6'\"",
    )
    ls.add_argument("--experiment", metavar="NAME", help="only of this experiment")
    ls.add_argument("--filter", default="", metavar="TEXT", help="only runs that match")
    ls.add_argument("--running", action="store_true", help="only runs under way")
    ls.add_argument("--deleted", action="store_true", help="deleted runs instead of live ones")
    ls.add_argument(
        "--order-by",
        action="append",
        default=[],
        metavar="KEY",
        help='such as "metrics.auc DESC"; again for ties',
    )
    ls.add_argument(
        "--columns",
        default="",
        metavar="KEYS",
        help="metrics and parameters to show, by commas: metrics.auc,params.depth",
    )
    ls.add_argument("--trend", metavar="METRIC", help="draw the course of this metric")
    ls.add_argument("--limit", type=count, default=50, metavar="N", help="most rows (50)")


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists runs."""
    with opened(arguments, anywhere=True) as workspace:
        tracking = workspace.tracking
        tracking.runs.end_lost()
        if arguments.experiment is not None:
            experiments = [tracking.experiments.named(arguments.experiment)]
        else:
            experiments = list(tracking.experiments.search(limit=50_000).items)
        names = {one.id: one.name for one in experiments}
        page = _page(workspace, list(names), arguments)
        drawn = trends(workspace, page.items, arguments.trend) if arguments.trend else {}
    if output.as_json:
        output.document({"runs": [plain(run) for run in page.items]})
        return 0
    columns = _columns(page.items, names, arguments, drawn)
    headings = output.fitting(columns)
    output.table(headings, list(zip(*(columns[name] for name in headings), strict=True)))
    if not page.items:
        output.note(_NONE_MATCH if arguments.filter or arguments.running else _NONE_YET)
    if len(headings) < len(columns):
        output.note(f"Not shown for want of room: {', '.join(list(columns)[len(headings) :])}.")
    if page.next_token:
        output.note("There are more; --limit N shows them.")
    return 0


def _page(workspace: Workspace, experiments: list[str], arguments: argparse.Namespace) -> Page[Run]:
    clauses = [arguments.filter] if arguments.filter.strip() else []
    if arguments.running:
        clauses.append("attributes.status = 'RUNNING'")
    return workspace.tracking.runs.search(
        experiments,
        " AND ".join(clauses),
        order_by=arguments.order_by,
        view="deleted" if arguments.deleted else "active",
        limit=arguments.limit,
    )


def _columns(
    runs: Sequence[Run],
    names: Mapping[str, str],
    arguments: argparse.Namespace,
    drawn: Mapping[str, str],
) -> dict[str, list[Any]]:
    asked = [key for key in arguments.columns.split(",") if key]
    if not asked:
        counts = Counter(point.key for run in runs for point in run.metrics)
        # Those that most runs have, by name.
        learned = sorted(counts, key=lambda key: (key.startswith(_MACHINE), -counts[key], key))
        asked = [f"metrics.{key}" for key in learned[:_SHOWN_METRICS]]
    columns: dict[str, list[Any]] = {
        "run": [run.id for run in runs],
        "name": [run.name for run in runs],
        "status": [status_word(run) for run in runs],
        **{key.removeprefix("metrics."): [_look(run, key) for run in runs] for key in asked},
    }
    if arguments.trend:
        columns[f"trend {arguments.trend}"] = [drawn.get(run.id, "") for run in runs]
    columns["started (UTC)"] = [moment_of(run.start_ms) for run in runs]
    columns["lasted"] = [lasted(run) for run in runs]
    columns["experiment"] = [names.get(run.experiment_id, run.experiment_id) for run in runs]
    return columns


def _look(run: Run, key: str) -> Any:
    kind, _, name = key.partition(".")
    if kind in {"params", "param"}:
        return run.params.get(name)
    if kind in {"tags", "tag"}:
        return run.tags.get(name)
    return metric_values(run).get(name if kind in {"metrics", "metric"} else key)


def run_compare(arguments: argparse.Namespace, output: Output) -> int:
    """Compares runs."""
    with opened(arguments, anywhere=True) as workspace:
        ids = dict.fromkeys(whole_id(workspace, one) for one in arguments.run_ids)
        runs = [workspace.tracking.runs.get(one) for one in ids]
        keys = dict.fromkeys(point.key for run in runs for point in run.metrics)
        drawn = {} if output.as_json else {key: trends(workspace, runs, key) for key in keys}
    if output.as_json:
        output.document({"runs": [plain(run) for run in runs]})
        return 0
    rows = _differences(runs, everything=arguments.all or len(runs) == 1)
    rows += [(f"course {key}", *(drawn[key].get(run.id, "") for run in runs)) for key in keys]
    output.table(("", *(run.name or run.id for run in runs)), rows)
    if not rows:
        output.line("They do not differ.")
    return 0


def _differences(runs: Sequence[Run], *, everything: bool) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for kind, of in (("param", lambda run: run.params), ("metric", metric_values)):
        for key in dict.fromkeys(key for run in runs for key in of(run)):
            values = [of(run).get(key) for run in runs]
            if everything or any(value != values[0] for value in values):
                rows.append((f"{kind} {key}", *values))
    return rows
