"""``mainspring models export`` and ``import``: a version as one portable file."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import verb
from mainspring.core.errors import Conflict, NotFound, Unavailable

_ADDRESS = "NAME/VERSION"


def add(among: Any) -> None:
    """The verbs ``export`` and ``import``."""
    export = verb(among, "export", run_export, "write a version to one portable file")
    export.add_argument("address", metavar=f"{_ADDRESS}|NAME@alias", help="the version")
    export.add_argument("--output", "-o", metavar="FILE", help="NAME-VERSION.zip if not named")
    load = verb(among, "import", run_import, "register a version from a portable file")
    load.add_argument("file", metavar="FILE", help="what 'models export' wrote")
    load.add_argument("--name", metavar="NAME", help="under another model's name")
    load.add_argument("--why", default="", metavar="TEXT", help="the reason, for the record")


def run_export(arguments: argparse.Namespace, output: Output) -> int:
    """Writes a version to a file."""
    from mainspring.registry import Because

    with opened(arguments, anywhere=True) as workspace:
        version = workspace.registry.aliases.resolve(arguments.address)
        target = Path(arguments.output or f"{version.name}-{version.number}.zip")
        if target.exists():
            raise Conflict(
                "cli.file_exists",
                f"{str(target)!r} is there already; nothing was written.",
                hint="Name another with --output FILE, or remove it.",
            )
        if not target.parent.is_dir():
            raise NotFound(
                "cli.no_such_folder",
                f"There is no folder {str(target.parent)!r}.",
                hint="Make it first, or name another file.",
            )
        handle, aside = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with os.fdopen(handle, "w+b") as stream:
                workspace.registry.transfers.export(
                    version.name, version.number, stream, Because(actor=workspace.actor)
                )
                stream.flush()
                os.fsync(stream.fileno())
            Path(aside).rename(target)
        finally:
            Path(aside).unlink(missing_ok=True)
    size_bytes = target.stat().st_size
    if output.as_json:
        output.document({"version": version.address, "file": str(target), "size_bytes": size_bytes})
    output.line(f"{version.address} -> {target} ({size_bytes:,} bytes)")
    return 0


def run_import(arguments: argparse.Namespace, output: Output) -> int:
    """Registers a version from a file."""
    from mainspring.registry import Because

    file = Path(arguments.file)
    if not file.is_file():
        raise NotFound(
            "cli.no_such_file",
            f"There is no file {str(file)!r}.",
            hint="Make one with 'mainspring models export NAME/VERSION'.",
        )
    try:
        source = file.open("rb")
    except OSError as error:
        raise Unavailable(
            "cli.unreadable", f"Cannot read {str(file)!r}: {error.strerror}.", hint="Check it."
        ) from error
    with source, opened(arguments, anywhere=True) as workspace:
        version = workspace.registry.transfers.load(
            source, name=arguments.name, because=Because(why=arguments.why, actor=workspace.actor)
        )
    output.document({"version": version}) if output.as_json else None
    output.line(f"Registered {version.address}.")
    return 0
