"""``mainspring up``: everything of a workspace: server, worker, inference gateway.

It prints the addresses once all of it answers, and the folder that holds everything. The server's
address is for MLflow clients (MLFLOW_TRACKING_URI), for mainspring.open() and for a browser.

SIGTERM (or Ctrl-C) lets each part answer what it was asked. A part that ends is started again, and
said; one that ends again and again ends the whole.
The gateway reads its other settings as always: MAINSPRING_GRPC_PORT, MAINSPRING_GATEWAY_PROCESSES.

  mainspring up
  mainspring up --port 5000 --inference-port 8080
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from mainspring._entrypoints.cli.output import FAILED, Output
from mainspring._entrypoints.cli.parser import port
from mainspring._entrypoints.cli.parts import Part, Parts


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``up``."""
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="address to listen on (127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=port, default=5000, metavar="P", help="the server's port (5000)"
    )
    parser.add_argument(
        "--inference-port", type=port, default=8080, metavar="Q", help="the gateway's (8080)"
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name that it may be asked by, beside localhost",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Runs everything until it is told to stop."""
    server, gateway = _answering(arguments, "server"), _answering(arguments, "gateway")
    parts = [server, gateway]
    if _has_project(arguments):
        words = [*_where(arguments), "worker"]
        parts.append(Part("worker", words, has_address=False))
    else:
        output.note("There is no project here, so nothing for a worker to do.")
    together = Parts(parts, output.note)
    before = {
        number: signal.signal(number, lambda *_: together.stop())
        for number in (signal.SIGTERM, signal.SIGINT)
    }

    def ready() -> None:
        output.fields(
            [
                ("Server", server.address),
                ("Inference", gateway.address),
                ("Workspace", _folder(arguments)),
            ]
        )
        sys.stdout.flush()

    try:
        failed = together.run(ready)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0 if failed is None else FAILED


def _folder(arguments: argparse.Namespace) -> Path:
    from mainspring._bootstrap.workspace import locate_workspace

    return locate_workspace(arguments.workspace, {"url": ""})[0].resolve()


def _answering(arguments: argparse.Namespace, name: str) -> Part:
    number = arguments.port if name == "server" else arguments.inference_port
    words = [*_where(arguments), name, "--host", arguments.host, "--port", str(number)]
    return Part(name, words + [word for one in arguments.name for word in ("--name", one)])


def _where(arguments: argparse.Namespace) -> list[str]:
    return ["--workspace", arguments.workspace] if arguments.workspace else []


def _has_project(arguments: argparse.Namespace) -> bool:
    from mainspring._bootstrap.folder import find_project

    return find_project(Path(arguments.workspace or ".").resolve()) is not None
