"""What a server offers of the stages; the rest says that it takes a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainspring.core.errors import Unavailable

if TYPE_CHECKING:
    from mainspring._adapters.remote.registry import (
        RemoteAliases,
        RemoteModels,
        RemotePackages,
        RemoteTransfers,
        RemoteVersions,
    )
    from mainspring._adapters.remote.tracking import (
        RemoteArtifacts,
        RemoteCharts,
        RemoteExperiments,
        RemoteLoggedModels,
        RemoteRuns,
    )


class _Partly:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Unavailable(
            "workspace.no_client",
            f"{name!r} works on a folder, not on a server's address.",
            hint="Leave out --url and MAINSPRING_URL, and name the folder with --workspace.",
        )


@dataclass(frozen=True)
class RemoteTracking(_Partly):
    """The tracking stage of a server."""

    experiments: RemoteExperiments
    runs: RemoteRuns
    models: RemoteLoggedModels
    artifacts: RemoteArtifacts
    charts: RemoteCharts


@dataclass(frozen=True)
class RemoteRegistry(_Partly):
    """The registry of a server."""

    models: RemoteModels
    versions: RemoteVersions
    aliases: RemoteAliases
    packages: RemotePackages
    transfers: RemoteTransfers
