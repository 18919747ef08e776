"""``mainspring runs show``: all that is known of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.parser import verb
from mainspring._entrypoints.cli.run_words import (
    lasted,
    metric_values,
    moment_of,
    number_text,
    plain,
    status_word,
    trends,
    whole_id,
)
from mainspring.tracking.nesting import inside, parent_of

if TYPE_CHECKING:
    import argparse

    from mainspring._bootstrap.workspace import Workspace
    from mainspring._entrypoints.cli.output import Output
    from mainspring.core.pages import Page
    from mainspring.tracking import Experiment, Run

_CONTEXT: Final = "mlflow.data.context"
_NOTE: Final = "mlflow.note.content"
_HERE: Final = "mlflow-artifacts:"
_SHOWN_METRICS: Final = 3


class Shown(msgspec.Struct, frozen=True):
    """A run with what lies around it."""

    run: Run
    experiment: Experiment
    drawn: dict[str, str]  # the courses of its metrics
    files: dict[str, int]
    inside: Page[Run]


def add(among: Any) -> None:
    """The verb ``show``."""
    show = verb(among, "show", run_show, "one run: parameters, metrics with their course, tags")
    show.add_argument("run_id", metavar="RUN", help="its id, or the beginning of it")


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows one run."""
    with opened(arguments, anywhere=True) as workspace:
        runs = workspace.tracking.runs
        runs.end_lost()
        run = runs.get(whole_id(workspace, arguments.run_id))
        shown = Shown(
            run=run,
            experiment=workspace.tracking.experiments.get(run.experiment_id),
            drawn={point.key: trends(workspace, [run], point.key)[run.id] for point in run.metrics},
            files=_files(workspace, run),
            inside=inside(runs, run),
        )
    if output.as_json:
        document = {"run": plain(run), "experiment": shown.experiment, "files": shown.files}
        output.document({**document, "inside": [plain(one) for one in shown.inside.items]})
        return 0
    _head(shown, output)
    _values(shown, output)
    _around(shown, output)
    return 0


def _head(shown: Shown, output: Output) -> None:
    run = shown.run
    output.fields(
        [
            ("Run", run.id),
            ("Name", run.name),
            ("Note", run.tags.get(_NOTE)),
            ("Experiment", shown.experiment.name),
            ("Inside run", parent_of(run)),
            ("Status", status_word(run)),
            ("User", run.user),
            ("Started", moment_of(run.start_ms)),
            ("Ended", moment_of(run.end_ms)),
            ("Lasted", lasted(run)),
            ("Artifacts", run.artifact_uri),
        ]
    )


def _values(shown: Shown, output: Output) -> None:
    run = shown.run
    if run.metrics:
        output.heading("Metrics")
        output.table(
            ("metric", "latest", "step", "course"),
            [(p.key, number_text(p.value), p.step, shown.drawn[p.key]) for p in run.metrics],
        )
    tags = {key: value for key, value in run.tags.items() if key != _NOTE}
    for title, values in (("Parameters", run.params), ("Tags", tags)):
        if values:
            output.heading(title)
            output.fields((f"  {name}", value) for name, value in values.items())


def _around(shown: Shown, output: Output) -> None:
    run = shown.run
    if run.datasets:
        output.heading("Datasets read")
        read = [(d.dataset.name, d.tags.get(_CONTEXT, ""), d.dataset.digest) for d in run.datasets]
        output.table(("dataset", "as", "digest"), read)
    if run.models:
        output.heading("Models")
        words = {"input": "read", "output": "made"}
        linked = [(link.model_id, words[link.role], link.step) for link in run.models]
        output.table(("model", "", "step"), linked)
    if shown.inside.items:
        output.heading("Runs inside")
        output.table(*_inside(shown.inside.items))
        if shown.inside.next_token:
            output.note(f"The newest {len(shown.inside.items)}; there are more.")
    if shown.files:
        output.heading("Files")
        output.table(("file", "bytes"), list(shown.files.items()))


def _inside(runs: tuple[Run, ...]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The table of runs inside another, with the metrics that come first."""
    keys = list(dict.fromkeys(point.key for run in runs for point in run.metrics))[:_SHOWN_METRICS]
    rows = [
        (run.id, run.name, status_word(run), *(metric_values(run).get(key) for key in keys))
        for run in runs
    ]
    return ["run", "name", "status", *keys], rows


def _files(workspace: Workspace, run: Run) -> dict[str, int]:
    """The run's files and their sizes; none when they are kept elsewhere."""
    if not run.artifact_uri.startswith(_HERE):
        return {}
    place = run.artifact_uri.removeprefix(_HERE).lstrip("/")
    return {path: one.size_bytes for path, one in workspace.tracking.artifacts.tree(place)}
