"""``mainspring config``: every setting.

The command line wins over the environment (MAINSPRING_...), which wins over [settings] in
mainspring.toml, which wins over the default.
"""

from __future__ import annotations

import argparse
from typing import Any

from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import verb, verbs
from mainspring.core.errors import NotFound
from mainspring.core.names import did_you_mean


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``config``."""
    among = verbs(parser)
    show = verb(
        among,
        "show",
        run_show,
        "every setting: its value, where it came from, what it means",
        more="Secrets are never printed.",
    )
    show.add_argument("name", nargs="?", metavar="NAME", help="only this one")


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows the settings."""
    from mainspring._bootstrap.workspace import locate_workspace

    folder, settings = locate_workspace(arguments.workspace, {"url": arguments.url})
    if arguments.name is not None:
        name = arguments.name.lower().removeprefix("mainspring_")
        if name not in settings:
            raise NotFound(
                "settings.unknown",
                f"There is no setting {arguments.name[:80]!r}.",
                hint=did_you_mean(name[:128], settings),
            )
        settings = {name: settings[name]}
    if output.as_json:
        shown: list[dict[str, Any]] = [
            {
                "name": name,
                "value": one.shown,
                "origin": one.origin,
                "variable": one.setting.variable,
                "meaning": one.setting.meaning,
            }
            for name, one in settings.items()
        ]
        output.document({"settings": shown, "workspace_folder": str(folder)})
        return 0
    for name, one in settings.items():
        value = "(empty)" if one.shown == "" else one.shown
        output.line(f"{name} = {value}   ({one.origin})")
        output.paragraph(one.setting.meaning, indent="    ")
    if arguments.name is None:
        output.heading(f"The workspace is {folder}.")
        output.note("Set one with MAINSPRING_NAME=... or under [settings] in mainspring.toml.")
    return 0
