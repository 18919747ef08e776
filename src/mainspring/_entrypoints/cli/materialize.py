"""``mainspring features materialize``: the newest features of each entity, for endpoints to look up."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from mainspring._bootstrap.workspace import Workspace
    from mainspring.features import FeatureSet


def add(among: Any, definition: Callable[[Workspace], FeatureSet]) -> None:
    """The verb ``materialize``; ``definition`` reads the project's feature set."""
    found = verb(
        among,
        "materialize",
        run,
        "publish the newest features of each entity for endpoints to look up",
        more="Run it again, by hand or on a schedule, to keep them fresh: an answer says how old "
        "they are.",
    )
    found.set_defaults(definition=definition)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Publishes the project's features."""
    from mainspring._bootstrap.online import materialize
    from mainspring.core.time import from_micros

    with opened(arguments) as workspace:
        output.progress("publishing ...")
        found = materialize(workspace, arguments.definition(workspace))
        output.progress("")
    if output.as_json:
        output.document({"views": found})
        return 0
    output.table(
        ("view", "entities", "as of (UTC)"),
        [(one.view, one.entities - 1, from_micros(one.as_of_micros)) for one in found],
    )
    if not found:
        output.note(
            "No view looks entities up: endpoints make every feature from the row itself, from now on."
        )
    return 0
