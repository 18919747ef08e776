"""``mainspring worker``: runs queued and scheduled pipelines, and watches the endpoint.

It enqueues the pipelines of the project whose schedule is due (UTC; what was due in the last day
while no worker ran is made up for once), runs what is queued, and every minute takes in prediction
records and closes the windows that are due. A job whose worker dies is taken by the next one when
its lease is over. SIGTERM ends it after the job under way. It reads mainspring.toml when it starts.

  mainspring worker
  mainspring worker --once
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import FAILED, Output
from mainspring._entrypoints.cli.parser import common, count
from mainspring.core.errors import Conflict

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring._entrypoints.worker import Worker


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``worker``."""
    parser.add_argument("--once", action="store_true", help="do what is due, then end")
    parser.add_argument(
        "--lease",
        type=count,
        default=60,
        metavar="SECONDS",
        help="how long the job of a dead worker stays held (60)",
    )
    common(parser, run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Works until it is told to stop, or until nothing is due."""
    from mainspring._entrypoints.worker import Stop

    stop = Stop()
    before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with opened(arguments, attended=False) as workspace:
            worker = _worker(workspace, output, arguments.lease)
            worked = worker.once(stop) if arguments.once else worker.until(stop)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if output.as_json:
        output.document(worked)
    output.fields([("Enqueued", worked.enqueued), ("Done", worked.done), ("Failed", worked.failed)])
    return FAILED if arguments.once and worked.failed else 0


def _worker(workspace: Workspace, output: Output, lease_seconds: int) -> Worker:
    from mainspring._bootstrap.projecting import pipelines_of, watch_once
    from mainspring._bootstrap.working import queue_of, schedules_of
    from mainspring._entrypoints.worker import Worker

    def pipeline(job: dict[str, Any]) -> dict[str, Any]:
        pipelines = pipelines_of(workspace, output.note)
        found = pipelines.run(job["pipeline"], job["given"], cache=job["cache"])
        return {"execution": found.execution}

    said = [""]

    def tell(text: str) -> None:
        """Says what is new: it looks every minute, and mostly finds what it found before."""
        if text != said[0]:
            output.note(text)
        said[0] = text

    def watch() -> None:
        try:
            watch_once(workspace, tell, until_now=False)
        except Conflict as error:
            if error.code != "projects.nothing_served":
                raise

    return Worker(
        name=f"{socket.gethostname()}:{os.getpid()}",
        database=workspace.database,
        queue=queue_of(workspace),
        clock=workspace.clock,
        schedules=schedules_of(workspace),
        run=pipeline,
        watch=watch,
        tell=output.note,
        lease_seconds=float(lease_seconds),
    )
