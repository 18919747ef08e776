"""``mainspring endpoints``: where models serve, and which version answers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mainspring._entrypoints.cli import traffic
from mainspring._entrypoints.cli.opening import command, opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import verb, verbs

if TYPE_CHECKING:
    from pathlib import Path

    from mainspring.serving.traffic import RouteTable, Variant


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``endpoints``."""
    among = verbs(parser)
    verb(among, "ls", run_ls, "the endpoints and who answers each")
    show = verb(among, "show", run_show, "one endpoint: its variants and their parts")
    show.add_argument("endpoint", metavar="ENDPOINT", help="its name")
    deploy = verb(
        among,
        "deploy",
        run_deploy,
        "put a version on an endpoint",
        more="A name alone means its champion. Without a running gateway the version serves from "
        "its next\nstart on.",
    )
    deploy.add_argument("address", metavar="MODEL", help="NAME, NAME@alias or NAME/VERSION")
    deploy.add_argument("--endpoint", metavar="NAME", help="which endpoint; named as the model")
    traffic.add(among, run_show)
    stop = verb(among, "stop", run_stop, "take an endpoint out of service")
    stop.add_argument("endpoint", metavar="ENDPOINT", help="its name")


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists endpoints."""
    with opened(arguments) as workspace:
        table, address = routes(workspace.folder)
    if output.as_json:
        output.document({"gateway": address, "revision": table.revision, "endpoints": table.routes})
        return 0
    output.table(
        ("endpoint", "champion", "others"),
        [
            (
                name,
                route.champion.version,
                ", ".join(f"{v.name} {v.version} ({_part(v)})" for v in route.variants[1:]),
            )
            for name, route in table.routes.items()
        ],
    )
    if not table.routes:
        output.note(f"Nothing is deployed yet: {command(arguments, 'endpoints deploy MODEL')}")
    output.note(f"The gateway answers at {address}." if address else "The gateway is not running.")
    return 0


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows one endpoint."""
    with opened(arguments) as workspace:
        table, address = routes(workspace.folder)
    route = table.route(arguments.endpoint)
    if output.as_json:
        output.document({"gateway": address, "endpoint": arguments.endpoint, "route": route})
        return 0
    output.fields(
        [
            ("Endpoint", arguments.endpoint),
            ("Address", f"{address}/v2/models/{arguments.endpoint}/infer" if address else ""),
            ("Drawn by", ", ".join(route.entity) or "the prediction's id"),
        ]
    )
    output.heading("Variants")
    output.table(
        ("variant", "version", "part", "package"),
        [(v.name, v.version, _part(v), v.model) for v in route.variants],
    )
    return 0


def run_deploy(arguments: argparse.Namespace, output: Output) -> int:
    """Puts a version on an endpoint."""
    from mainspring._bootstrap.releasing import deploy

    with opened(arguments) as workspace:
        found = deploy(workspace, arguments.address, arguments.endpoint)
    if output.as_json:
        output.document(found)
        return 0
    state = "is answered" if found.changed else "was answered already"
    output.line(f"{found.endpoint} {state} by version {found.version}.")
    if not found.champion:
        output.note(
            f"The alias champion points elsewhere; "
            f"'{command(arguments, f'models promote {found.address}')}' "
            "makes it the champion for good."
        )
    if found.url is None:
        output.note(
            "The gateway is not running; it serves this when it starts: "
            f"{command(arguments, 'gateway')}"
        )
    return 0


def run_stop(arguments: argparse.Namespace, output: Output) -> int:
    """Takes an endpoint out of service."""
    from mainspring._bootstrap.releasing import stop

    with opened(arguments) as workspace:
        stop(workspace, arguments.endpoint)
    output.document({"endpoint": arguments.endpoint, "stopped": True}) if output.as_json else None
    output.line(f"{arguments.endpoint} is out of service.")
    return 0


def _part(variant: Variant) -> str:
    if variant.role in {"canary", "arm"}:
        return f"{variant.role}, {variant.share:.0%} of the entities"
    return {
        "champion": "answers",
        "group": "answers its groups",
        "shadow": "gets copies when there is room",
        "reference": "gets a copy of every row",
    }[variant.role]


def routes(workspace: Path) -> tuple[RouteTable, str | None]:
    """What the gateway serves (or will, when it starts), and its address while it runs."""
    from mainspring._bootstrap.folder import SERVING_FOLDER
    from mainspring.core.errors import MainspringError
    from mainspring.serving.client import GatewayControl
    from mainspring.serving.routes import read_routes

    folder = workspace / SERVING_FOLDER
    try:
        control = GatewayControl(folder, timeout_seconds=2.0)
        table = control.routes()
        control.close()
    except MainspringError as error:
        if error.kind not in {"unavailable", "timeout"}:
            raise
        return read_routes(folder), None
    return table, control.url
