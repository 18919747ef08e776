"""``mainspring runs delete``, ``restore`` and ``tag``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import command, opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import pair, verb
from mainspring._entrypoints.cli.run_words import whole_id
from mainspring.tracking.types import Batch

if TYPE_CHECKING:
    from mainspring.tracking.types import View


def add(among: Any) -> None:
    """The verbs."""
    for word, told in (
        ("delete", "take runs out of sight; gc removes them for good"),
        ("restore", "bring deleted runs back"),
    ):
        move = verb(among, word, run_move, told)
        move.add_argument("run_ids", metavar="RUN", nargs="+", help="ids, or their beginnings")
    tag = verb(among, "tag", run_tag, "set tags of a run, or its note: note=TEXT")
    tag.add_argument("run_id", metavar="RUN", help="its id, or the beginning of it")
    tag.add_argument("tags", type=pair, nargs="+", metavar="KEY=VALUE", help="a tag and its text")


def run_move(arguments: argparse.Namespace, output: Output) -> int:
    """Deletes or restores runs."""
    deletes = arguments.verb == "delete"
    view: View = "active" if deletes else "deleted"
    with opened(arguments, anywhere=True) as workspace:
        runs = workspace.tracking.runs
        ids = [whole_id(workspace, text, view) for text in arguments.run_ids]
        for found in [runs.get(run_id) for run_id in dict.fromkeys(ids)]:  # all are there first
            (runs.delete if deletes else runs.restore)(found.id, actor=workspace.actor)
            output.line(f"{found.name} ({found.id}) is {'deleted' if deletes else 'back'}.")
    if output.as_json:
        output.document({"runs": list(dict.fromkeys(ids))})
    if deletes:
        undo = command(arguments, f"runs restore {' '.join(dict.fromkeys(ids))}")
        output.note(f"Undo it with: {undo}")
    return 0


def run_tag(arguments: argparse.Namespace, output: Output) -> int:
    """Tags a run."""
    tags = {("mlflow.note.content" if k == "note" else k): v for k, v in arguments.tags}
    with opened(arguments, anywhere=True) as workspace:
        runs = workspace.tracking.runs
        run_id = whole_id(workspace, arguments.run_id)
        runs.log(run_id, Batch(tags=tuple(tags.items()))).result()
        after = runs.get(run_id)
    if output.as_json:
        output.document({"run": after.id, "tags": after.tags})
    output.line(f"{after.name} has {len(after.tags)} tags.")
    return 0
