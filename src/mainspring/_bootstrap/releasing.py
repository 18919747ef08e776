"""Putting a version on an endpoint by hand, and taking an endpoint out of service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mainspring._bootstrap.endpoints import FolderGateway
from mainspring.core.digest import Digest
from mainspring.core.errors import Conflict, NotFound
from mainspring.core.events import Fact, ref
from mainspring.projects import events
from mainspring.projects.production import CHAMPION
from mainspring.projects.scoring import chosen_version
from mainspring.serving.traffic import Route, Variant

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.registry.types import Version


@dataclass(frozen=True, slots=True)
class Deployed:
    """Who answers an endpoint now. ``champion``: it is what the alias champion points at."""

    endpoint: str
    address: str
    version: int
    changed: bool
    champion: bool
    url: str | None


def deploy(workspace: Workspace, address: str, endpoint: str | None = None) -> Deployed:
    """Puts the version that an address names on an endpoint, alone.

    Errors: ``projects.challenge_open`` while a challenger is being tried out there;
    ``registry.no_package``, ``registry.not_releasable``, those of loading the package.
    """
    version = chosen_version(workspace.registry, address)
    name = endpoint or version.name
    refuse_unfit(workspace, version, name)
    gateway = FolderGateway(workspace)
    before = gateway.routes().routes.get(name)
    entity = _entity(workspace, name)
    variant = Variant(
        name=CHAMPION, model=Digest(str(version.package)), version=str(version.number)
    )
    route = Route(variants=(variant,), entity=entity)
    if route != before:
        gateway.deploy(name, route)
        announce(workspace, name, route.variants, f"{version.address} was deployed.", version)
    champion = workspace.registry.aliases.get(version.name, CHAMPION).version
    return Deployed(
        endpoint=name,
        address=version.address,
        version=version.number,
        changed=route != before,
        champion=champion == version.number,
        url=gateway.url,
    )


def stop(workspace: Workspace, endpoint: str) -> None:
    """Takes an endpoint out of service; its records and outcomes stay.

    Errors: ``serving.endpoint_not_found``, ``projects.challenge_open``.
    """
    refuse_challenged(workspace, endpoint)
    FolderGateway(workspace).remove(endpoint)
    announce(workspace, endpoint, (), "The endpoint was taken out of service.", None)


def _entity(workspace: Workspace, endpoint: str) -> tuple[str, ...]:
    from mainspring._bootstrap.folder import find_project

    if find_project(workspace.folder) is None:
        return ()
    declared = workspace.project.spec.endpoint
    return declared.entity if declared and declared.name == endpoint else ()


def refuse_unfit(workspace: Workspace, version: Version, endpoint: str) -> None:
    """Nothing, or an error: the version may serve there, and nothing is being tried out."""
    if version.package is None:
        raise NotFound(
            "registry.no_package",
            f"{version.address} has no package, so it cannot be served.",
            hint="Deploy a version that was trained here or imported from a portable file.",
        )
    if version.status in {"rejected", "archived"}:
        raise Conflict(
            "registry.not_releasable",
            f"{version.address} is {version.status}: {version.reason}",
            hint="Deploy a registered or approved version.",
            version=version.number,
        )
    refuse_challenged(workspace, endpoint)


def refuse_challenged(workspace: Workspace, endpoint: str) -> None:
    """Nothing, or an error. Errors: ``projects.challenge_open``."""
    challenge = workspace.loop.current(endpoint)
    if challenge is not None:
        raise Conflict(
            "projects.challenge_open",
            f"A challenger (challenge {challenge.id}, {challenge.state}) is tried out on {endpoint!r}.",
            hint="Wait for its end: see 'mainspring loop show'.",
            endpoint=endpoint,
        )


def announce(
    workspace: Workspace,
    endpoint: str,
    variants: tuple[Variant, ...],
    why: str,
    version: Version | None,
) -> None:
    """Records who answers an endpoint from now on."""
    subject = ref("endpoint", endpoint)
    told = [
        {"name": v.name, "version": v.version, "role": v.role, "share": v.share} for v in variants
    ]
    fact = Fact(
        kind=events.DEPLOYED,
        subject=subject,
        facts={"variants": told, "why": why},
        used=(ref("model", version.address),) if version else (),
        generated=(subject,),
    )
    workspace.database.write(lambda tx: tx.announce(fact))
