"""``mainspring demo``: an example project played through the whole loop."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mainspring._entrypoints.cli.output import Output


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``demo``."""
    parser.add_argument("example", nargs="?", default="flights", help="which example (flights)")
    parser.add_argument("--dir", metavar="DIR", help="where to put it (demo/EXAMPLE)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Copies the example and plays it; run again, it goes on where it stopped."""
    from mainspring._adapters.clock import ReplayClock
    from mainspring._bootstrap.examples import copy_example
    from mainspring._bootstrap.replaying import replay
    from mainspring._bootstrap.workspace import open_workspace
    from mainspring.core.time import EPOCH

    folder = copy_example(
        arguments.example, Path(arguments.dir or Path("demo") / arguments.example).absolute()
    )
    clock = ReplayClock(EPOCH)
    where = arguments.workspace or folder / ".mainspring"
    with open_workspace(where, clock=clock) as workspace:
        summary = replay(workspace, clock, _Progress(output))
    if output.as_json:
        output.document(summary.document())
    else:
        _tell(summary, output)
    return 0 if summary.audit_ok else 1


class _Progress:
    """Days replace each other on one line; everything else stays."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        seconds = time.monotonic() - self._start
        if text[:4].isdigit():
            self._output.progress(f"{seconds:6.1f} s  production {text}")
            return
        self._output.progress("")
        self._output.note(f"{seconds:6.1f} s  {text}")


def _tell(summary: object, output: Output) -> None:
    from mainspring.projects.summary import Summary

    if not isinstance(summary, Summary):
        return
    metric = summary.metric
    output.line(f"\n{summary.title}\n")
    output.table(
        ["month", "rows", f"frozen {metric}", f"champion {metric}", "version", "frozen cost",
         "champion cost", "alerts", "retrained", "decision"],
        [
            [m.month, m.rows, m.frozen, m.champion, m.champion_version, m.frozen_cost_per_1000,
             m.champion_cost_per_1000, m.alerts, m.retrained, m.decision]
            for m in summary.months
        ],
    )  # fmt: skip
    output.line("")
    output.table(
        ["version", "trained until", "status", "reason"],
        [[v.version, v.trained_until[:10], v.status, v.reason] for v in summary.versions],
    )
    proof = "verified" if summary.audit_ok else "BROKEN"
    output.line(
        f"\n{summary.predictions_served:,} predictions served; {summary.events:,} events, chain "
        f"{proof}; {summary.lineage_nodes:,} nodes of lineage; {summary.seconds:.0f} s."
    )
    output.line(f"Report: {summary.report}")
