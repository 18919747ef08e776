"""Runs and models into a workspace from a file, a folder or a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from mainspring._bootstrap.workspace import Workspace
from mainspring.core.errors import NotFound
from mainspring.registry.intake import ForeignModel, RegistryIntake
from mainspring.tracking.intake import Intake
from mainspring.tracking.origin import Taken


def import_runs(
    workspace: Workspace, where: str, tell: Callable[[str], None] = lambda _text: None
) -> Taken:
    """What was taken from a portable file, an ``mlruns`` folder or an MLflow server's address.

    May be repeated after it broke off. Errors: ``tracking.origin_not_found``, and the origin's.
    """
    intake, taken = Intake(workspace.tracking, tell), Taken()
    if where.startswith(("http://", "https://")):
        from mainspring._adapters.mlflow_server.server import MlflowServer

        server = MlflowServer(where)
        intake.take(server, taken)
        _registry(workspace, server.name, server.registered(), taken)
        return taken
    path = Path(where).expanduser()
    if path.is_dir():
        from mainspring._adapters.mlruns.folder import MlrunsFolder

        folder = MlrunsFolder(path)
        intake.take(folder, taken)
        _registry(workspace, folder.name, folder.registered(), taken)
        return taken
    if not path.is_file():
        raise NotFound(
            "tracking.origin_not_found",
            f"There is no file or folder {where[:200]!r}.",
            hint="Name a file made by 'runs export', an mlruns folder, or http://HOST:PORT.",
        )
    from mainspring.tracking.archive import RunFile

    with path.open("rb") as file:
        return intake.take(RunFile(file), taken)


def _registry(
    workspace: Workspace, name: str, models: Iterable[ForeignModel], taken: Taken
) -> None:
    registry = RegistryIntake(workspace.registry, name, taken.differs)
    taken.registered, taken.versions = registry.take(models)
