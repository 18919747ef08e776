"""``mainspring server``: the tracking and registry server, alone.

It answers MLflow clients: set MLFLOW_TRACKING_URI to the address that it prints. SIGTERM ends it
once what it was asked is answered. Off this machine it needs a token (MAINSPRING_TOKEN).
"""

from __future__ import annotations

import argparse

from mainspring._entrypoints.cli.output import Output

_MOST_PORT = 65_535


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``server``."""
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="address to listen on (127.0.0.1)"
    )
    parser.add_argument("--port", type=_port, default=5000, metavar="P", help="port (5000)")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name that it may be asked by, beside localhost",
    )
    parser.set_defaults(run=run)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > _MOST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Serves until it is told to stop."""
    from mainspring._bootstrap.workspace import open_workspace
    from mainspring._entrypoints.server import run_server

    workspace = open_workspace(arguments.workspace, attended=False)
    run_server(
        workspace,
        host=arguments.host,
        port=arguments.port,
        token=str(workspace.setting("token")),
        names=arguments.name,
        ready=lambda address: output.note(f"The server answers at {address}"),
    )
    return 0
