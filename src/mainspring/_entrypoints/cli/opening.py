"""The workspace that a command works on."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mainspring._bootstrap.folder import PROJECT_FILE, find_project
from mainspring.core.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.core.settings import Value
    from mainspring.governance.ports import EventLog

T = TypeVar("T")


@contextmanager
def opened(
    arguments: argparse.Namespace,
    *,
    anywhere: bool = False,
    attended: bool = True,
    **settings: str,
) -> Iterator[Workspace]:
    """The workspace named on the line, or the nearest; closed when the block ends.

    ``anywhere``: one on a server too. ``attended``: a person does this, and not a service that
    was started. ``settings`` win over all others.
    Errors: ``workspace.not_found`` where there is neither a workspace nor a project;
    ``workspace.no_client`` for a server's address where a folder is needed.
    """
    from mainspring._bootstrap.workspace import locate_workspace, open_workspace

    # A folder that is named wins over a server that the settings name.
    url = "" if arguments.workspace is not None else arguments.url
    given: dict[str, Value | None] = {"url": url, **settings}
    folder, found = locate_workspace(arguments.workspace, given)
    if found["url"].value and anywhere:
        with open_workspace(given=given) as workspace:
            yield workspace
        return
    if found["url"].value:
        raise Unavailable(
            "workspace.no_client",
            "This command works on a folder, not on a server's address.",
            hint="Leave out --url and MAINSPRING_URL, and name the folder with --workspace.",
        )
    if not folder.is_dir() and not find_project(folder):
        raise NotFound(
            "workspace.not_found",
            f"There is no project and no workspace at {str(_place(folder))!r}.",
            hint="Start one with 'mainspring init', go to its folder, or name it with "
            "--workspace DIR.",
            folder=str(folder),
        )
    with open_workspace(arguments.workspace, given=given, attended=attended) as workspace:
        yield workspace


def _place(folder: Path) -> Path:
    return folder.parent if folder.name == ".mainspring" else folder


def project_folder(folder: Path) -> Path | None:
    """The project a workspace folder belongs to, or the one of the current folder."""
    return find_project(folder) or find_project(Path.cwd())


def command(arguments: argparse.Namespace, words: str) -> str:
    """Another command on the same workspace, as it can be typed here."""
    where = [f"--workspace {shlex.quote(arguments.workspace)}"] if arguments.workspace else []
    where = where or ([f"--url {shlex.quote(arguments.url)}"] if arguments.url else [])
    return " ".join(["mainspring", *where, words])


def recorded(workspace: Workspace, work: Callable[[EventLog], T]) -> T:
    """The result of ``work`` on the event record, as of one moment."""
    return workspace.database.read(lambda reader: work(workspace.governance.log(reader)))


__all__ = ["PROJECT_FILE", "command", "opened", "project_folder", "recorded"]
