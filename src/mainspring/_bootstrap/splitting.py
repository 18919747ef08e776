"""Splitting an endpoint's traffic by hand: who answers beside the champion, and who gets copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mainspring._bootstrap import releasing
from mainspring._bootstrap.endpoints import FolderGateway
from mainspring.core.digest import Digest
from mainspring.projects.scoring import chosen_version
from mainspring.serving.traffic import Groups, Role, Route, Variant

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the champion, by the addresses of model versions.

    ``canaries`` and ``arms`` carry shares; ``groups`` maps values of ``column`` to addresses.
    """

    canaries: tuple[tuple[str, float], ...] = ()
    experiment: str = ""
    arms: tuple[tuple[str, float], ...] = ()
    column: str = ""
    groups: tuple[tuple[str, str], ...] = ()
    shadows: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def split(workspace: Workspace, endpoint: str, beside: Beside) -> Route:
    """The endpoint's route with its champion and these beside it, live.

    Errors: ``serving.endpoint_not_found``, ``serving.bad_route``, ``serving.split_is_fixed``,
    ``projects.challenge_open``, and those of loading a package.
    """
    gateway = FolderGateway(workspace)
    before = gateway.routes().route(endpoint)
    route = Route(
        variants=(before.champion, *_variants(workspace, endpoint, beside)),
        entity=before.entity,
        groups=_groups(workspace, beside),
        experiment=beside.experiment,
    )
    if route != before:
        gateway.deploy(endpoint, route)
        releasing.announce(workspace, endpoint, route.variants, _why(route), None)
    return route


def roll_back(workspace: Workspace, endpoint: str) -> Route:
    """The endpoint's route as it was before its last change, live.

    Errors: ``serving.nothing_before``, ``projects.challenge_open``.
    """
    releasing.refuse_challenged(workspace, endpoint)
    route = FolderGateway(workspace).roll_back(endpoint)
    releasing.announce(workspace, endpoint, route.variants, "Rolled back by hand.", None)
    return route


def _variants(workspace: Workspace, endpoint: str, beside: Beside) -> list[Variant]:
    grouped = dict.fromkeys(address for _, address in beside.groups)
    wanted: list[tuple[str, Role, float]] = [
        *((address, "canary", share) for address, share in beside.canaries),
        *((address, "arm", share) for address, share in beside.arms),
        *((address, "group", 0.0) for address in grouped),
        *((address, "shadow", 0.0) for address in beside.shadows),
        *((address, "reference", 0.0) for address in beside.references),
    ]
    return [_variant(workspace, endpoint, one) for one in wanted]


def _variant(workspace: Workspace, endpoint: str, wanted: tuple[str, Role, float]) -> Variant:
    address, role, share = wanted
    version = chosen_version(workspace.registry, address)
    releasing.refuse_unfit(workspace, version, endpoint)
    return Variant(
        name=f"{role}-{version.number}",
        model=Digest(str(version.package)),
        version=str(version.number),
        role=role,
        share=share,
    )


def _groups(workspace: Workspace, beside: Beside) -> Groups | None:
    if not beside.groups:
        return None
    return Groups(
        column=beside.column,
        variants={
            value: f"group-{chosen_version(workspace.registry, address).number}"
            for value, address in beside.groups
        },
    )


def _why(route: Route) -> str:
    parts = [f"{v.name} {v.share:g}" if v.share else v.name for v in route.variants[1:]]
    told = f"Split by hand: {', '.join(parts) or 'the champion alone'}"
    if route.experiment:
        told += f"; experiment {route.experiment}"
    if route.groups:
        told += f"; groups by {route.groups.column}"
    return f"{told}."
