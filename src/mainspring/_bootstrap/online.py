"""The online features of a workspace: publishing them, and looking them up."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, cast

from mainspring._bootstrap.folder import find_project
from mainspring._bootstrap.later import Later
from mainspring.core.errors import Unavailable

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.features.lookup import FeatureLookup
    from mainspring.features.types import FeatureSet
    from mainspring.ports.online import Online, Published
    from mainspring.ports.tables import Tables

ONLINE_FILE: Final = "online.db"


def open_online(workspace: Workspace) -> Online:
    """The online store that the settings name. Errors: ``settings.no_online``."""
    wanted = str(workspace.setting("online"))
    if wanted != "sqlite":
        raise Unavailable(
            "settings.no_online",
            f"The setting online is {wanted[:80]!r}, and this version keeps them in SQLite only.",
            hint="Set it to sqlite.",
            setting="online",
        )
    from mainspring._adapters.sqlite.online import SqliteOnline

    return SqliteOnline(str(workspace.folder / ONLINE_FILE))


def materialize(workspace: Workspace, definition: FeatureSet) -> list[Published]:
    """The project's features as of now, published for the endpoints to look up."""
    from mainspring.features.online import Publisher

    spec = workspace.project.spec
    missing = spec.endpoint.missing_entity if spec.endpoint else "as_trained"
    online = open_online(workspace)
    try:
        return Publisher(workspace.features, online).publish(
            definition, spec.problem, missing=missing
        )
    finally:
        online.close()


def lookup_of(workspace: Workspace) -> FeatureLookup | None:
    """What a gateway of this workspace turns entities into; None where there is no project."""
    from mainspring.features.lookup import FeatureLookup

    if find_project(workspace.folder) is None:
        return None
    # A gateway that is never asked for decisions loads no table engine and opens no store.
    online = cast("Online", Later(cache(lambda: open_online(workspace))))
    tables = cast("Tables", Later(lambda: workspace.tables))
    return FeatureLookup(online, tables, workspace.clock)
