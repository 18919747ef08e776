"""``mainspring gateway``: the inference gateway, alone."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from typing import TYPE_CHECKING

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import port, seconds

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gateway``."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=port, default=8080, help="port; 0 takes a free one (8080)")
    parser.add_argument(
        "--grpc-port",
        type=port,
        metavar="P",
        help="port for gRPC; 0 takes a free one (none unless said)",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name that it may be asked by, beside localhost",
    )
    parser.add_argument(
        "--linger",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="how long it still answers, no longer ready, once told to stop (0)",
    )
    parser.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Serves until it is told to stop."""
    from mainspring._bootstrap.gateway import SERVING_FOLDER
    from mainspring._bootstrap.online import lookup_of
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
            names=frozenset({"localhost", *arguments.name, *_listed(workspace, "gateway_names")}),
            token=str(workspace.setting("token")) or None,
            grpc_port=_grpc_port(arguments, workspace),
            linger_seconds=arguments.linger,
            features=lookup_of(workspace),
        )
        serve(
            settings,
            workspace.objects,
            runtimes(),
            ready=lambda address: output.note(f"The gateway answers at {address}"),
            grpc_ready=lambda address: output.note(f"gRPC is answered at {address}"),
        )
    return 0


def _grpc_port(arguments: argparse.Namespace, workspace: Workspace) -> int | None:
    if arguments.grpc_port is not None:
        return int(arguments.grpc_port)
    return int(workspace.setting("grpc_port")) or None


def _listed(workspace: Workspace, setting: str) -> list[str]:
    """A setting's values, which commas part."""
    return [name.strip() for name in str(workspace.setting(setting)).split(",") if name.strip()]


def _stop_with_stdin() -> None:
    """Stops this process when whoever started it is gone."""
    while os.read(0, 4096):  # the descriptor itself: a buffered file would hold its lock at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)
