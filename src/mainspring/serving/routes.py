"""``routes.json``: what a gateway serves, kept so that a restart serves the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from mainspring.core.errors import Broken
from mainspring.serving.traffic import RouteTable, check_route

ROUTES_FILE: Final = "routes.json"


def read_routes(folder: Path) -> RouteTable:
    """The stored table, or an empty one. Errors: ``serving.routes_unreadable``."""
    path = folder / ROUTES_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return RouteTable()
    try:
        table = msgspec.json.decode(data, type=RouteTable)
        for endpoint, route in table.routes.items():
            check_route(endpoint, route)
    except ValueError as error:  # msgspec's and our own Invalid are ValueErrors
        raise Broken(
            "serving.routes_unreadable",
            f"{ROUTES_FILE} cannot be read: {error}",
            hint="Remove the file and deploy the endpoints again.",
            file=str(path),
        ) from error
    return table


def write_routes(folder: Path, table: RouteTable) -> None:
    """Stores the table: after a crash there is the old one or the new one, whole."""
    replace_file(folder / ROUTES_FILE, msgspec.json.format(msgspec.json.encode(table)), mode=0o644)


def replace_file(path: Path, data: bytes, *, mode: int) -> None:
    """Replaces a file durably and at once; readers see the old bytes or the new ones."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames and new names in the folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
