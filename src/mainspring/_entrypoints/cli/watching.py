"""``mainspring runs watch``: the metrics of a run while it goes on."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output, shown
from mainspring._entrypoints.cli.parser import verb
from mainspring._entrypoints.cli.run_words import (
    number_text,
    plain,
    status_word,
    trends,
    whole_id,
)
from mainspring.core.errors import NotFound
from mainspring.tracking.types import ENDED

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.tracking import Run

_LEAST_SECONDS: Final = 0.2


def add(among: Any) -> None:
    """The verb ``watch``."""
    watch = verb(
        among,
        "watch",
        run_watch,
        "a run's metrics until it ends",
        more="On a terminal the lines are redrawn; elsewhere each change of a metric is a line. "
        "With --json the run is printed once it has ended. Exit code 1 when it failed.",
    )
    watch.add_argument(
        "run_id", metavar="RUN", nargs="?", help="its id or the beginning; the newest one under way"
    )
    watch.add_argument(
        "--every", type=_seconds, default=2.0, metavar="SECONDS", help="how often to look (2)"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _LEAST_SECONDS <= seconds <= 86_400:  # noqa: PLR2004 - a day; also refuses nan
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.2 on")
    return seconds


def run_watch(arguments: argparse.Namespace, output: Output) -> int:
    """Watches a run until it ends."""
    with opened(arguments, anywhere=True) as workspace:
        run_id = _newest(workspace) if arguments.run_id is None else arguments.run_id
        runs = workspace.tracking.runs
        run_id = whole_id(workspace, run_id)
        screen = Screen(workspace, output)
        last = None

        def look() -> Run:
            runs.end_lost()
            return runs.get(run_id)

        for last in states(look, lambda: time.sleep(arguments.every)):
            screen.show(last)
    if last is not None and output.as_json:
        output.document({"run": plain(last)})
    return 0 if last is not None and last.status == "FINISHED" else 1


def states(read: Callable[[], Run], wait: Callable[[], object]) -> Iterator[Run]:
    """The run at once and whenever it changed, the last time when it has ended or was deleted."""
    known = None
    while True:
        run = read()
        if run != known:
            yield run
            known = run
        if run.status in ENDED or run.state == "deleted":
            return
        wait()


class Screen:
    """A run's metrics, redrawn in place on a terminal, line by line elsewhere."""

    def __init__(self, workspace: Workspace, output: Output) -> None:
        self._workspace = workspace
        self._output = output
        self._drawn = 0
        self._steps: dict[str, int] = {}
        self._status = ""

    def show(self, run: Run) -> None:
        """Draws the run as it is now."""
        if self._output.as_json:
            return
        if sys.stdout.isatty():
            self._redraw(run)
        else:
            self._tell(run)
        sys.stdout.flush()

    def _tell(self, run: Run) -> None:
        if status_word(run) != self._status:
            self._status = status_word(run)
            self._output.line(f"{run.name}: {self._status}")
        for point in run.metrics:
            if self._steps.get(point.key) != point.step:
                self._output.line(f"{point.key} {number_text(point.value)} at step {point.step}")
                self._steps[point.key] = point.step

    def _redraw(self, run: Run) -> None:
        width = max((len(point.key) for point in run.metrics), default=0)
        lines = [f"{run.name}  {status_word(run)}  {run.id}"]
        for point in run.metrics:
            course = trends(self._workspace, [run], point.key)[run.id]
            value = number_text(point.value).rjust(12)
            lines.append(f"{point.key.ljust(width)}  {value}  step {point.step:<8} {course}")
        back = f"\x1b[{self._drawn}A" if self._drawn else ""
        sys.stdout.write(back + "".join(f"\x1b[2K{shown(line)}\n" for line in lines))
        self._drawn = len(lines)


def _newest(workspace: Workspace) -> str:
    experiments = [one.id for one in workspace.tracking.experiments.search(limit=50_000).items]
    found = workspace.tracking.runs.search(experiments, "status = 'RUNNING'", limit=1).items
    if not found:
        raise NotFound(
            "cli.nothing_running",
            "No run is under way.",
            hint="Name one: 'mainspring runs ls' lists them.",
        )
    return found[0].id
