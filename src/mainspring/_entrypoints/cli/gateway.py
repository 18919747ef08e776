"""``mainspring gateway``: the inference gateway, alone.

It answers the Open Inference Protocol (REST, and gRPC with --grpc-port) and MLflow's scoring wire.
SIGTERM ends it once what it was asked is answered; SIGHUP makes it read the routes, the token and
the host names again. Off this machine it needs a token (MAINSPRING_TOKEN).

  mainspring gateway
  mainspring gateway --processes 4 --grpc-port 8081 --access-log access.jsonl
"""

from __future__ import annotations

import argparse
import sys
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import FAILED, Output
from mainspring._entrypoints.cli.parser import count, port, seconds
from mainspring._entrypoints.cli.part import stop_with_stdin
from mainspring._entrypoints.inference.pinning import pin_threads
from mainspring.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mainspring._bootstrap.workspace import Workspace
    from mainspring._entrypoints._http import Doors
    from mainspring.core.settings import Resolved


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
        "--processes",
        type=_processes,
        metavar="N",
        help="processes behind the port (1); auto: one for each core it may use",
    )
    parser.add_argument("--access-log", metavar="FILE", help="one line of JSON per request")
    parser.add_argument(
        "--linger",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="how long it still answers, no longer ready, once told to stop (0)",
    )
    parser.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--siblings", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def _processes(text: str) -> int:
    """A number of processes; 0 for as many as there are cores to use."""
    return 0 if text == "auto" else count(text)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Serves until it is told to stop."""
    pin_threads()
    if arguments.until_stdin_closes:
        threading.Thread(target=stop_with_stdin, daemon=True).start()
    with opened(arguments, attended=False) as workspace:
        said = arguments.processes
        said = int(workspace.setting("gateway_processes")) if said is None else said
        processes = said or workspace.cores
        if processes == 1 or arguments.siblings:
            return _serve(arguments, workspace, output)
        folder, grpc_port = workspace.folder, _grpc_port(arguments, workspace)
    return _serve_together(arguments, output, (processes, folder, grpc_port))


def _serve(arguments: argparse.Namespace, workspace: Workspace, output: Output) -> int:
    from mainspring._bootstrap.apart import places
    from mainspring._bootstrap.folder import SERVING_FOLDER
    from mainspring._bootstrap.online import lookup_of
    from mainspring._bootstrap.tracing import tracer
    from mainspring._bootstrap.workspace import locate_workspace
    from mainspring._entrypoints.inference.server import GatewaySettings
    from mainspring._entrypoints.inference.server import run as serve

    def reread() -> Doors:
        _check_settings(arguments)
        return _doors(arguments, locate_workspace(arguments.workspace)[1])

    alone = not arguments.siblings
    log = arguments.access_log or str(workspace.setting("access_log"))
    settings = GatewaySettings(
        folder=workspace.folder / SERVING_FOLDER,
        host=arguments.host,
        port=arguments.port,
        doors=_doors(arguments, workspace.settings),
        grpc_port=_grpc_port(arguments, workspace),
        linger_seconds=arguments.linger,
        features=lookup_of(workspace),
        siblings=None if alone else Path(arguments.siblings),
        access_log=Path(log) if log else None,
        tracer=tracer() if workspace.setting("traces") else None,
        reread=reread,
    )
    serve(
        settings,
        workspace.objects,
        places(workspace.settings),
        ready=lambda address: _answers(output, address) if alone else None,
        grpc_ready=lambda address: _answers_grpc(output, address) if alone else None,
    )
    return 0


def _serve_together(
    arguments: argparse.Namespace, output: Output, what: tuple[int, Path, int | None]
) -> int:
    from mainspring._bootstrap.folder import SERVING_FOLDER
    from mainspring._entrypoints.inference.processes import ProcessSettings, run_processes

    processes, folder, grpc_port = what
    command = [sys.executable, "-m", "mainspring"]
    command += ["--workspace", arguments.workspace] if arguments.workspace else []
    command += ["gateway", "--host", arguments.host, "--until-stdin-closes"]
    command += [word for name in arguments.name for word in ("--name", name)]
    command += ["--linger", str(arguments.linger)]
    command += ["--access-log", arguments.access_log] if arguments.access_log else []
    settings = ProcessSettings(
        command=command,
        count=processes,
        folder=folder / SERVING_FOLDER,
        host=arguments.host,
        port=arguments.port,
        grpc_port=grpc_port,
    )
    kept = run_processes(
        settings,
        ready=lambda address: _answers(output, address),
        grpc_ready=lambda address: _answers_grpc(output, address),
        tell=output.note,
    )
    return 0 if kept else FAILED


def _doors(arguments: argparse.Namespace, settings: Mapping[str, Resolved]) -> Doors:
    from mainspring._entrypoints._http import Doors, OneToken

    listed = str(settings["gateway_names"].value).split(",")
    names = {"localhost", *arguments.name, *(name.strip() for name in listed if name.strip())}
    token = str(settings["token"].value)
    return Doors(arguments.host, frozenset(names), OneToken(token) if token else None)


def _check_settings(arguments: argparse.Namespace) -> None:
    """Refuses a settings file that cannot be read: taken as empty, it would unset the token."""
    from mainspring._bootstrap.folder import PROJECT_FILE, find_project

    project = find_project(Path(arguments.workspace or ".").absolute())
    if project is None:
        return
    try:
        tomllib.loads((project / PROJECT_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Invalid(
            "settings.unreadable",
            f"{project / PROJECT_FILE} cannot be read: {error}.",
            hint="Mend the file, then send SIGHUP again.",
        ) from error


def _grpc_port(arguments: argparse.Namespace, workspace: Workspace) -> int | None:
    if arguments.grpc_port is not None:
        return int(arguments.grpc_port)
    return int(workspace.setting("grpc_port")) or None


def _answers(output: Output, address: str) -> None:
    output.note(f"The gateway answers at {address}")


def _answers_grpc(output: Output, address: str) -> None:
    output.note(f"gRPC is answered at {address}")
