"""``mainspring loop``: triggers, challengers and releases of an endpoint."""

from __future__ import annotations

import argparse

from mainspring._entrypoints.cli.monitor import endpoint_of
from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import count, verb, verbs


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``loop``."""
    among = verbs(parser)
    show = verb(among, "show", run_show, "the challenge under way, and those before it")
    show.add_argument("endpoint", nargs="?", metavar="ENDPOINT", help="that of the project if none")
    show.add_argument("--limit", type=count, default=20, metavar="N", help="newest challenges (20)")
    verb(among, "replay", run_replay, "play recorded history through the loop, as [replay] says")


def run_replay(arguments: argparse.Namespace, output: Output) -> int:
    """Plays the project's history; run again, it goes on where it stopped."""
    from mainspring._entrypoints.cli.replaying import play

    with opened(arguments) as workspace:
        folder = workspace.folder
    return play(folder, output)


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows challenges."""
    with opened(arguments) as workspace:
        endpoint = endpoint_of(workspace, arguments.endpoint)
        current = workspace.loop.current(endpoint)
        history = workspace.loop.history(endpoint, limit=arguments.limit)
    if output.as_json:
        output.document({"endpoint": endpoint, "current": current, "challenges": history})
        return 0
    if current is None:
        output.line(f"{endpoint}: no challenge is under way.")
    else:
        output.line(f"{endpoint}: challenge {current.id} is in state {current.state}.")
        output.fields(
            [
                ("Trigger", current.trigger),
                ("Champion", current.champion),
                ("Challenger", current.challenger),
                ("Since", current.since),
                ("Reason", current.reason),
            ]
        )
    if history:
        output.heading("Challenges")
        output.table(
            ("id", "opened (UTC)", "trigger", "champion", "challenger", "state", "reason"),
            [
                (c.id, c.opened, c.trigger, c.champion, c.challenger, c.state, c.reason)
                for c in history
            ],
        )
    return 0
