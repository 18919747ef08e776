"""A packaged model's folder, opened: what ``models package --as container`` wrote, or a copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mainspring.core.errors import NotFound
from mainspring.serving.routes import ROUTES_FILE, read_routes

if TYPE_CHECKING:
    from mainspring.ports.objects import Objects
    from mainspring.serving.traffic import RouteTable


def packaged_model(folder: Path) -> tuple[RouteTable, Objects]:
    """The routes and the object store of a folder that is only read.

    Errors: ``serving.no_model`` unless the folder holds both; ``serving.routes_unreadable``.
    """
    from mainspring._adapters.files.objects import FileObjects

    if not (folder / ROUTES_FILE).is_file() or not (folder / "objects").is_dir():
        raise NotFound(
            "serving.no_model",
            f"There is no packaged model in {str(folder)!r}.",
            hint="Name the folder 'model' that 'mainspring models package --as container' writes.",
            folder=str(folder),
        )
    return read_routes(folder), FileObjects(folder / "objects")
