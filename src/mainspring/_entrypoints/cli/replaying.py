"""Playing history through a project's loop, as ``demo`` and ``loop replay`` do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from mainspring._entrypoints.cli.output import Output

if TYPE_CHECKING:
    from mainspring.projects.summary import Summary


def play(where: Path | str | None, output: Output) -> int:
    """Plays the project of a workspace, or of the nearest; goes on where an earlier try stopped."""
    from mainspring._adapters.clock import ReplayClock
    from mainspring._bootstrap.replaying import replay
    from mainspring._bootstrap.workspace import open_workspace
    from mainspring.core.time import EPOCH

    clock = ReplayClock(EPOCH)
    with open_workspace(where, clock=clock, attended=False) as workspace:
        summary = replay(workspace, clock, Progress(output))
    if output.as_json:
        output.document(summary.document())
    else:
        tell(summary, output)
    return 0 if summary.audit_ok else 1


class Progress:
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


def tell(summary: Summary, output: Output) -> None:
    """The end of a replay on the terminal."""
    metric = summary.metric
    output.line(f"\n{summary.title}\n")
    output.table(
        (
            "month",
            "rows",
            "frozen",
            "champion",
            "v",
            "cost frozen",
            "champion",
            "alerts",
            "decision",
        ),
        [
            (
                m.month,
                m.rows,
                m.frozen,
                m.champion,
                m.champion_version,
                _whole(m.frozen_cost_per_1000),
                _whole(m.champion_cost_per_1000),
                m.alerts,
                m.decision,
            )
            for m in summary.months
        ],
    )
    output.line(f"\n{metric}; cost in {summary.cost_unit} per 1,000 rows. Frozen is version 1.\n")
    output.table(
        ("v", "trained until", "became", "reason"),
        [(v.version, v.trained_until[:10], v.status, v.reason) for v in summary.versions],
    )
    proof = "verified" if summary.audit_ok else "BROKEN"
    output.line(
        f"\n{summary.predictions_served:,} predictions served; {summary.events:,} events, chain "
        f"{proof}; {summary.lineage_nodes:,} nodes of lineage; {summary.seconds:.0f} s."
    )
    output.line(f"Report: {summary.report}")


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
