"""A server in the place of a folder: tracking and registry, with the methods of a folder's."""

from __future__ import annotations

import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from mainspring.core.digest import sha256
from mainspring.core.errors import Unavailable

if TYPE_CHECKING:
    from mainspring._adapters.remote.wire import Wire
    from mainspring.registry.service import Registry
    from mainspring.tracking import Tracking

_PATIENCE_SECONDS: Final = 600.0


class Remote:
    """What a server holds. Data, features, training and serving take a folder."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._token = token

    def close(self) -> None:
        """Lets go of the connections."""
        for name in ("wire", "patient"):
            if name in self.__dict__:
                getattr(self, name).close()

    @cached_property
    def wire(self) -> Wire:
        """The way to the server."""
        from mainspring._adapters.remote.wire import Wire

        return Wire(self._address, self._token)

    @cached_property
    def patient(self) -> Wire:
        """The way to the server for what takes minutes: packages are read whole there."""
        from mainspring._adapters.remote.wire import Wire

        return Wire(self._address, self._token, timeout_seconds=_PATIENCE_SECONDS)

    @cached_property
    def tracking(self) -> Tracking:
        """Experiments, runs, artifacts and logged models of the server."""
        from mainspring._adapters.remote import tracking as remote
        from mainspring._bootstrap.remote_parts import RemoteTracking

        parts: Any = RemoteTracking(
            experiments=remote.RemoteExperiments(self.wire),
            runs=remote.RemoteRuns(self.wire),
            models=remote.RemoteLoggedModels(self.wire),
            artifacts=remote.RemoteArtifacts(self.wire),
            charts=remote.RemoteCharts(self.wire),
        )
        return cast("Tracking", parts)

    @cached_property
    def registry(self) -> Registry:
        """Models, versions and aliases of the server."""
        from mainspring._adapters.remote import registry as remote
        from mainspring._bootstrap.remote_parts import RemoteRegistry

        parts: Any = RemoteRegistry(
            models=remote.RemoteModels(self.wire),
            versions=remote.RemoteVersions(self.wire),
            aliases=remote.RemoteAliases(self.wire),
            packages=remote.RemotePackages(self.wire, self.patient),
            transfers=remote.RemoteTransfers(self.patient),
        )
        return cast("Registry", parts)


def folder_needed() -> Unavailable:
    """The error for what a server does not offer."""
    return Unavailable(
        "workspace.no_client",
        "This works on a folder, not on a server's address.",
        hint="Leave out --url and MAINSPRING_URL, and name the folder with --workspace.",
    )


def state_folder(address: str) -> Path:
    """Where this machine keeps what a server has not taken yet."""
    mark = sha256(address.rstrip("/").encode())[7:19]
    base = os.environ.get("XDG_STATE_HOME", "")
    try:
        state = Path(base) if base else Path.home() / ".local" / "state"
        folder = state / "mainspring" / mark
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # no home, or none to write to
        return Path(tempfile.gettempdir()) / f"mainspring-{os.getuid()}" / mark
    return folder
