"""Who answers a row: the route table, and a stable draw of each entity to its variant.

A table is an immutable value that is replaced as a whole, so a request sees one table from start
to end. A variant with share 0 gets no request at all, never "hardly any".
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from mainspring.core.digest import Digest
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.names import did_you_mean

Role = Literal["champion", "canary", "shadow", "reference"]
VariantName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}$(?!\n)")]
_RESOLUTION = 1 << 53


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model version behind an endpoint, and its part.

    ``champion`` answers what no canary takes. ``canary`` answers its ``share`` of entities.
    ``shadow`` gets copies when there is room, and its answers are only recorded. ``reference``
    gets a copy of every row, computed with the request, and is only recorded: a fixed model that
    others are compared with.
    """

    name: VariantName
    model: Digest  # of the package's manifest
    version: str
    role: Role = "champion"
    share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An endpoint and its variants. ``entity`` names the inputs whose values make the key."""

    variants: tuple[Variant, ...]
    entity: tuple[str, ...] = ()

    @property
    def champion(self) -> Variant:
        return next(variant for variant in self.variants if variant.role == "champion")

    @property
    def answering(self) -> tuple[Variant, ...]:
        """Those that may answer: canaries in order, the champion last."""
        canaries = tuple(variant for variant in self.variants if variant.role == "canary")
        return (*canaries, self.champion)

    @property
    def watching(self) -> tuple[Variant, ...]:
        """Those that get copies: references and shadows."""
        return tuple(v for v in self.variants if v.role in {"shadow", "reference"})


class RouteTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every endpoint's route, at one revision; stored as ``routes.json``."""

    format: Literal["mainspring-routes/1"] = "mainspring-routes/1"
    revision: int = 0
    routes: dict[str, Route] = {}

    def route(self, endpoint: str) -> Route:
        """The endpoint's route. Errors: ``serving.endpoint_not_found``."""
        found = self.routes.get(endpoint)
        if found is None:
            raise NotFound(
                "serving.endpoint_not_found",
                f"No endpoint is called {endpoint[:80]!r}.",
                hint=did_you_mean(endpoint, self.routes)
                or "List them with GET /v2/repository/index.",
                endpoint=endpoint[:80],
            )
        return found

    def with_route(self, endpoint: str, route: Route) -> RouteTable:
        """The next revision, with the endpoint's route added or replaced."""
        return msgspec.structs.replace(
            self,
            revision=self.revision + 1,
            routes={**self.routes, endpoint: check_route(endpoint, route)},
        )

    def without(self, endpoint: str) -> RouteTable:
        """The next revision, without the endpoint."""
        kept = {name: route for name, route in self.routes.items() if name != endpoint}
        return msgspec.structs.replace(self, revision=self.revision + 1, routes=kept)


def check_route(endpoint: str, route: Route) -> Route:
    """The route itself, once it makes sense.

    Errors: ``serving.bad_route``: not exactly one champion, a name used twice, a share on a
    variant that is not a canary, or canaries that want more than everything.
    """
    names = [variant.name for variant in route.variants]
    why = ""
    if sum(variant.role == "champion" for variant in route.variants) != 1:
        why = "it needs exactly one champion"
    elif len(set(names)) != len(names):
        why = "two variants have the same name"
    elif any(variant.share and variant.role != "canary" for variant in route.variants):
        why = "only a canary has a share"
    elif sum(variant.share for variant in route.variants) > 1.0 + 1e-9:  # noqa: PLR2004
        why = "its shares are more than 1 together"
    if why:
        raise Invalid(
            "serving.bad_route",
            f"The route of {endpoint[:80]!r} cannot be used: {why}.",
            hint="One champion; canaries with shares up to 1 together; shadows; references.",
            endpoint=endpoint[:80],
        )
    return route


def draw(endpoint: str, entity: str) -> float:
    """Where in [0, 1) an entity falls: the same on every machine, for ever.

    Source: BLAKE2b, RFC 7693, keyed by the endpoint so that endpoints split independently.
    """
    key = endpoint.encode()[:64]
    data = entity.encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(data, digest_size=8, key=key).digest(), "big")
    return (number >> 11) / _RESOLUTION


def assign(
    endpoint: str, answering: Sequence[Variant], entities: Sequence[str]
) -> NDArray[np.intp]:
    """Which of the answering variants takes each entity, as positions.

    The canaries lie side by side from 0 on, each as wide as its share; the champion (last) has
    the rest. So an entity that has met a canary keeps meeting it while its share grows.
    """
    shares = [variant.share for variant in answering[:-1]]
    if not any(shares):
        return np.full(len(entities), len(answering) - 1, dtype=np.intp)
    edges = np.cumsum(shares)
    draws = np.array([draw(endpoint, entity) for entity in entities], dtype=np.float64)
    # side="right": the first edge beyond the draw, so an interval of no width holds no draw.
    return np.searchsorted(edges, draws, side="right")


def named(route: Route, endpoint: str, name: str) -> Variant:
    """The variant that a request asks for by name. Errors: ``serving.variant_not_found``."""
    for variant in route.variants:
        if variant.name == name:
            return variant
    raise NotFound(
        "serving.variant_not_found",
        f"The endpoint {endpoint!r} has no variant {name[:80]!r}.",
        hint=f"It has: {', '.join(variant.name for variant in route.variants)}.",
        endpoint=endpoint,
    )


def versioned(route: Route, endpoint: str, version: str) -> Variant:
    """The variant with a model version. Errors: ``serving.version_not_found``."""
    for variant in (*route.answering[::-1], *route.watching):
        if variant.version == version:
            return variant
    raise NotFound(
        "serving.version_not_found",
        f"The endpoint {endpoint!r} does not serve version {version[:80]!r}.",
        hint=f"It serves: {', '.join(variant.version for variant in route.variants)}.",
        endpoint=endpoint,
    )
