"""Where a workspace lies: the named folder, or the nearest ``.mainspring`` upward."""

from __future__ import annotations

from pathlib import Path
from typing import Final

WORKSPACE_NAME: Final = ".mainspring"
PROJECT_FILE: Final = "mainspring.toml"
SERVING_FOLDER: Final = "serving"  # the gateway's own, inside the workspace


def find_workspace(named: str, here: Path) -> Path:
    """The workspace folder.

    A named folder is taken as it is. Without a name: the nearest ``.mainspring`` from ``here``
    upward, else the one that will be made beside the nearest ``mainspring.toml``, else in
    ``here``.
    """
    if named:
        return Path(named).expanduser().absolute()
    for folder in (here, *here.parents):
        if (folder / WORKSPACE_NAME).is_dir():
            return folder / WORKSPACE_NAME
        if (folder / PROJECT_FILE).is_file():
            return folder / WORKSPACE_NAME
    return here / WORKSPACE_NAME


def find_project(here: Path) -> Path | None:
    """The nearest folder upward that holds a ``mainspring.toml``."""
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    return None
