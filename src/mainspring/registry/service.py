"""The registry's use cases, put together."""

from __future__ import annotations

from dataclasses import dataclass

from mainspring.ports.clock import Clock
from mainspring.ports.database import Database
from mainspring.ports.objects import Objects
from mainspring.registry.aliases import Aliases
from mainspring.registry.models import Models
from mainspring.registry.packages import Packages
from mainspring.registry.ports import RegistryStore, Signing
from mainspring.registry.transfer import Transfers
from mainspring.registry.versions import Versions


@dataclass(frozen=True, slots=True)
class Registry:
    """Models, their versions, the aliases that point at them, and the packages inside."""

    models: Models
    versions: Versions
    aliases: Aliases
    packages: Packages
    transfers: Transfers


def open_registry(
    database: Database,
    store: RegistryStore,
    clock: Clock,
    objects: Objects,
    *,
    signing: Signing | None = None,
    require_signature: bool = False,
) -> Registry:
    """The registry over these parts; with ``signing`` every new version is signed."""
    packages = Packages(database, store, clock, objects, signing, require_signature)
    models = Models(database, store, clock)
    versions = Versions(database, store, clock, packages)
    return Registry(
        models=models,
        versions=versions,
        aliases=Aliases(database, store, clock),
        packages=packages,
        transfers=Transfers(models, versions, packages),
    )
