"""``mainspring gateway``: the inference gateway, alone."""

from __future__ import annotations

import argparse
import os
import signal
import threading

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gateway``."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 takes a free one (8080)")
    parser.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Serves until it is told to stop."""
    from mainspring._bootstrap.gateway import SERVING_FOLDER
    from mainspring._bootstrap.workspace import runtimes
    from mainspring._entrypoints.inference.server import GatewaySettings
    from mainspring._entrypoints.inference.server import run as serve

    if arguments.until_stdin_closes:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    with opened(arguments) as workspace:
        settings = GatewaySettings(
            folder=workspace.folder / SERVING_FOLDER,
            host=arguments.host,
            port=arguments.port,
            token=str(workspace.setting("token")) or None,
        )
        serve(
            settings,
            workspace.objects,
            runtimes(),
            ready=lambda address: output.note(f"The gateway answers at {address}"),
        )
    return 0


def _stop_with_stdin() -> None:
    """Stops this process when whoever started it is gone."""
    while os.read(0, 4096):  # the descriptor itself: a buffered file would hold its lock at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)
