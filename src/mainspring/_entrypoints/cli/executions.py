"""``mainspring executions``: what pipelines did, step by step."""

from __future__ import annotations

import argparse

from mainspring._entrypoints.cli.opening import command, opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import count, verb, verbs


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``executions``."""
    among = verbs(parser)
    ls = verb(among, "ls", run_ls, "executions, newest first")
    ls.add_argument("pipeline", nargs="?", metavar="PIPELINE", help="only of this pipeline")
    ls.add_argument("--limit", type=count, default=50, metavar="N", help="most rows (50)")
    show = verb(among, "show", run_show, "one execution and its steps")
    show.add_argument("execution", metavar="ID", help="its id, or the beginning of it")


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists executions."""
    with opened(arguments) as workspace:
        found = workspace.executions.newest(arguments.pipeline, limit=arguments.limit)
    if output.as_json:
        output.document({"executions": found})
        return 0
    output.table(
        ("id", "pipeline", "state", "started (UTC)", "ended (UTC)", "error"),
        [(e.id, e.pipeline, e.state, e.started, e.ended, e.error) for e in found],
    )
    if not found:
        output.note(f"No execution yet: {command(arguments, 'run train')}")
    return 0


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows one execution."""
    wanted: str = arguments.execution
    with opened(arguments) as workspace:
        begun = [e.id for e in workspace.executions.newest(limit=1000) if e.id.startswith(wanted)]
        execution, steps = workspace.executions.show(begun[0] if len(begun) == 1 else wanted)
    if output.as_json:
        output.document({"execution": execution, "steps": steps})
        return 0
    output.fields(
        [
            ("Execution", execution.id),
            ("Pipeline", execution.pipeline),
            ("State", execution.state),
            ("Started", execution.started),
            ("Ended", execution.ended),
            ("Key", execution.key),
            ("Parameters", ", ".join(f"{k}={v}" for k, v in execution.parameters.items())),
            ("Error", execution.error),
        ]
    )
    output.heading("Steps")
    output.table(
        ("step", "state", "seconds", "error"),
        [(s.name, s.state, s.seconds, s.error) for s in steps],
    )
    return 0
