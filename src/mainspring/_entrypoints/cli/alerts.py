"""``mainspring alerts``: what the monitors raised."""

from __future__ import annotations

import argparse

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import count, verb, verbs


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``alerts``."""
    among = verbs(parser)
    ls = verb(among, "ls", run_ls, "alerts that are not closed, newest first")
    ls.add_argument("endpoint", nargs="?", metavar="ENDPOINT", help="only of this endpoint")
    ls.add_argument("--all", action="store_true", help="closed ones too")
    ls.add_argument("--limit", type=count, default=100, metavar="N", help="most rows (100)")
    ack = verb(among, "ack", run_ack, "say that an alert was seen")
    ack.add_argument("alert", type=count, metavar="ID", help="its number in 'alerts ls'")


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists alerts."""
    with opened(arguments) as workspace:
        found = workspace.watch.alerts(
            arguments.endpoint, open_only=not arguments.all, limit=arguments.limit
        )
    if output.as_json:
        output.document({"alerts": found})
        return 0
    output.table(
        (
            "id",
            "endpoint",
            "monitor",
            "severity",
            "state",
            "opened (UTC)",
            "closed (UTC)",
            "reason",
        ),
        [
            (a.id, a.endpoint, a.monitor, a.severity, a.state, a.opened, a.closed, a.reason)
            for a in found
        ],
    )
    if not found:
        output.note("No alert." if arguments.all else "No open alert; --all lists closed ones.")
    return 0


def run_ack(arguments: argparse.Namespace, output: Output) -> int:
    """Acknowledges an alert."""
    with opened(arguments) as workspace:
        alert = workspace.watch.acknowledge(arguments.alert)
    if output.as_json:
        output.document({"alert": alert})
    output.line(f"Alert {alert.id} ({alert.monitor} of {alert.endpoint}) is {alert.state}.")
    return 0
