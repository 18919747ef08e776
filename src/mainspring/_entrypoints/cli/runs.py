"""``mainspring runs``: tracked runs, with what they were given and what they reached."""

from __future__ import annotations

import argparse
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import count, verb, verbs

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.tracking import Run

_SHOWN_METRICS = 3


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``runs``."""
    among = verbs(parser)
    ls = verb(
        among,
        "ls",
        run_ls,
        "runs, newest first",
        more="A filter is written as MLflow writes it: \"metrics.auc > 0.7 AND params.depth = '6'\"",
    )
    ls.add_argument("--experiment", metavar="NAME", help="only of this experiment")
    ls.add_argument("--filter", default="", metavar="TEXT", help="only runs that match")
    ls.add_argument(
        "--order-by", action="append", default=[], metavar="KEY", help="metrics.auc DESC"
    )
    ls.add_argument("--limit", type=count, default=50, metavar="N", help="most rows (50)")
    show = verb(among, "show", run_show, "one run: parameters, metrics, tags")
    show.add_argument("run_id", metavar="RUN")
    compare = verb(among, "compare", run_compare, "several runs side by side, where they differ")
    compare.add_argument("run_ids", metavar="RUN", nargs="+")


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists runs."""
    with opened(arguments) as workspace:
        tracking = workspace.tracking
        if arguments.experiment is not None:
            experiments = [tracking.experiments.named(arguments.experiment)]
        else:
            experiments = list(tracking.experiments.search().items)
        names = {one.id: one.name for one in experiments}
        page = tracking.runs.search(
            list(names), arguments.filter, order_by=arguments.order_by, limit=arguments.limit
        )
    if output.as_json:
        output.document({"runs": [_plain(run) for run in page.items]})
        return 0
    keys = list(dict.fromkeys(point.key for run in page.items for point in run.metrics))
    keys = keys[:_SHOWN_METRICS]
    output.table(
        ("run", "name", "experiment", "status", "started (UTC)", *keys),
        [
            (
                run.id,
                run.name,
                names.get(run.experiment_id, run.experiment_id),
                run.status.lower(),
                _moment(run.start_ms),
                *(_metrics(run).get(key) for key in keys),
            )
            for run in page.items
        ],
    )
    if not page.items:
        output.note("No run found.")
    if page.next_token:
        output.note("There are more; --limit N shows them.")
    return 0


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows one run."""
    with opened(arguments) as workspace:
        run = workspace.tracking.runs.get(_whole_id(workspace, arguments.run_id))
        experiment = workspace.tracking.experiments.get(run.experiment_id)
    if output.as_json:
        output.document({"run": _plain(run), "experiment": experiment})
        return 0
    output.fields(
        [
            ("Run", run.id),
            ("Name", run.name),
            ("Experiment", experiment.name),
            ("Status", run.status.lower()),
            ("User", run.user),
            ("Started", _moment(run.start_ms)),
            ("Ended", _moment(run.end_ms)),
            ("Artifacts", run.artifact_uri),
        ]
    )
    for title, values in (
        ("Metrics", _metrics(run)),
        ("Parameters", run.params),
        ("Tags", run.tags),
    ):
        if values:
            output.heading(title)
            output.fields((f"  {name}", value) for name, value in values.items())
    return 0


def run_compare(arguments: argparse.Namespace, output: Output) -> int:
    """Compares runs."""
    with opened(arguments) as workspace:
        runs = [workspace.tracking.runs.get(_whole_id(workspace, one)) for one in arguments.run_ids]
    if output.as_json:
        output.document({"runs": [_plain(run) for run in runs]})
        return 0
    rows = []
    for kind, of in (("param", lambda run: run.params), ("metric", _metrics)):
        for key in dict.fromkeys(key for run in runs for key in of(run)):
            values = [of(run).get(key) for run in runs]
            if len(runs) == 1 or any(value != values[0] for value in values):
                rows.append((f"{kind} {key}", *values))
    output.table(("", *(run.name or run.id for run in runs)), rows)
    if not rows:
        output.line("They do not differ.")
    return 0


def _whole_id(workspace: Workspace, text: str) -> str:
    """The id that a text is the beginning of, when it is that of one recent run."""
    if len(text) >= 32:  # noqa: PLR2004 - a whole id
        return text
    experiments = [one.id for one in workspace.tracking.experiments.search().items]
    recent = workspace.tracking.runs.search(experiments).items
    found = [run.id for run in recent if run.id.startswith(text)]
    return found[0] if len(found) == 1 else text


def _metrics(run: Run) -> dict[str, Any]:
    return {
        point.key: point.value if math.isfinite(point.value) else str(point.value)
        for point in run.metrics
    }


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _plain(run: Run) -> dict[str, Any]:
    import msgspec

    return {**msgspec.to_builtins(run), "metrics": _metrics(run)}
