"""``mainspring experiments``: the places that runs lie in.

An experiment is named by its name or its id. Deleting takes it and its runs out of sight, and
``restore`` brings them back; ``gc`` removes for good. A deleted experiment keeps its name.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from mainspring._entrypoints.cli.opening import command, opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import count, pair, verb, verbs
from mainspring._entrypoints.cli.run_words import moment_of, status_word
from mainspring.core.errors import NotFound

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.tracking import Experiment

_NAME: Final = "NAME|ID"
_NOTE: Final = "mlflow.note.content"


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``experiments``."""
    among = verbs(parser)
    ls = verb(among, "ls", run_ls, "experiments, the newest first")
    ls.add_argument("--filter", default="", metavar="TEXT", help="such as \"name LIKE 'churn%%'\"")
    ls.add_argument("--deleted", action="store_true", help="deleted ones instead of live ones")
    ls.add_argument("--limit", type=count, default=100, metavar="N", help="most rows (100)")
    show = verb(among, "show", run_show, "one experiment: its note, its tags, its newest runs")
    show.add_argument("name", metavar=_NAME, help="its name or id")
    create = verb(among, "create", run_create, "a new experiment")
    create.add_argument("name", metavar="NAME", help="its name")
    rename = verb(among, "rename", run_rename, "another name for an experiment")
    rename.add_argument("name", metavar=_NAME, help="its name or id")
    rename.add_argument("new", metavar="NEW", help="its new name")
    tag = verb(among, "tag", run_tag, "set tags of an experiment, or its note: note=TEXT")
    tag.add_argument("name", metavar=_NAME, help="its name or id")
    tag.add_argument("tags", type=pair, nargs="+", metavar="KEY=VALUE", help="a tag and its text")
    for word, told in (
        ("delete", "take an experiment and its runs out of sight"),
        ("restore", "bring a deleted experiment and its runs back"),
    ):
        move = verb(among, word, run_move, told)
        move.add_argument("name", metavar=_NAME, help="its name or id")


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists experiments."""
    with opened(arguments, anywhere=True) as workspace:
        page = workspace.tracking.experiments.search(
            arguments.filter,
            view="deleted" if arguments.deleted else "active",
            limit=arguments.limit,
        )
    if output.as_json:
        output.document({"experiments": page.items})
        return 0
    output.table(
        ("experiment", "id", "created (UTC)", "changed (UTC)", "note"),
        [
            (one.name, one.id, moment_of(one.created_ms), moment_of(one.updated_ms), _note(one))
            for one in page.items
        ],
    )
    if not page.items:
        output.note("No experiment found.")
    if page.next_token:
        output.note("There are more; --limit N shows them.")
    return 0


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows one experiment."""
    with opened(arguments, anywhere=True) as workspace:
        experiment = find(workspace, arguments.name)
        live = experiment.state == "active"
        runs = workspace.tracking.runs.search(
            [experiment.id], view="active" if live else "deleted", limit=5
        ).items
    if output.as_json:
        output.document({"experiment": experiment, "runs": [run.id for run in runs]})
        return 0
    output.fields(
        [
            ("Experiment", experiment.name),
            ("Id", experiment.id),
            ("State", None if live else experiment.state),
            ("Note", experiment.tags.get(_NOTE)),
            ("Created", moment_of(experiment.created_ms)),
            ("Changed", moment_of(experiment.updated_ms)),
            ("Artifacts", experiment.artifact_uri),
        ]
    )
    tags = [(key, value) for key, value in experiment.tags.items() if key != _NOTE]
    if tags:
        output.heading("Tags")
        output.fields((f"  {key}", value) for key, value in tags)
    if runs:
        output.heading("Newest runs")
        rows = [(run.id, run.name, status_word(run), moment_of(run.start_ms)) for run in runs]
        output.table(("run", "name", "status", "started (UTC)"), rows)
    return 0


def run_create(arguments: argparse.Namespace, output: Output) -> int:
    """Makes an experiment."""
    with opened(arguments, anywhere=True) as workspace:
        made = workspace.tracking.experiments.create(arguments.name, actor=workspace.actor)
    return _tell(output, made, f"Experiment {made.name} has the id {made.id}.")


def run_rename(arguments: argparse.Namespace, output: Output) -> int:
    """Renames an experiment."""
    with opened(arguments, anywhere=True) as workspace:
        before = find(workspace, arguments.name)
        after = workspace.tracking.experiments.rename(
            before.id, arguments.new, actor=workspace.actor
        )
    return _tell(output, after, f"{before.name} is {after.name} now.")


def run_tag(arguments: argparse.Namespace, output: Output) -> int:
    """Tags an experiment."""
    with opened(arguments, anywhere=True) as workspace:
        found = find(workspace, arguments.name)
        tags = {(_NOTE if key == "note" else key): value for key, value in arguments.tags}
        after = workspace.tracking.experiments.tag(found.id, tags, actor=workspace.actor)
    return _tell(output, after, f"{after.name} has {len(after.tags)} tags.")


def run_move(arguments: argparse.Namespace, output: Output) -> int:
    """Deletes or restores an experiment."""
    with opened(arguments, anywhere=True) as workspace:
        found = find(workspace, arguments.name)
        experiments = workspace.tracking.experiments
        if arguments.verb == "delete":
            experiments.delete(found.id, actor=workspace.actor)
        else:
            experiments.restore(found.id, actor=workspace.actor)
        after = experiments.get(found.id)
    if arguments.verb == "delete":
        output.note(f"Undo it with: {command(arguments, f'experiments restore {after.name!r}')}")
        return _tell(output, after, f"{after.name} and its runs are out of sight.")
    return _tell(output, after, f"{after.name} and its runs are back.")


def find(workspace: Workspace, text: str) -> Experiment:
    """The experiment of this name, or else of this id, live or deleted."""
    experiments = workspace.tracking.experiments
    try:
        return experiments.named(text)
    except NotFound as unnamed:
        if not text.isdigit():
            raise
        try:
            return experiments.get(text)
        except NotFound:
            raise unnamed from None


def _note(experiment: Experiment) -> str:
    return experiment.tags.get(_NOTE, "").partition("\n")[0]


def _tell(output: Output, experiment: Experiment, line: str) -> int:
    if output.as_json:
        output.document({"experiment": experiment})
    else:
        output.line(line)
    return 0
