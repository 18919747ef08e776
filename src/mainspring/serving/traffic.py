"""Who answers a row: the route table, and a stable draw of each entity to its variant.

A table is an immutable value that is replaced as a whole, so a request sees one table from start
to end. A variant with share 0 gets no request at all, never "hardly any".
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from mainspring.core.digest import Digest
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.core.names import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Role = Literal["champion", "canary", "arm", "group", "shadow", "reference"]
VariantName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}$(?!\n)")]
_RESOLUTION = 1 << 53
_SHARING = frozenset({"canary", "arm"})
_COPIES = frozenset({"shadow", "reference"})


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model version behind an endpoint, and its part.

    ``champion`` answers what no other takes. ``canary`` answers its ``share`` of entities; ``arm``
    too, as one side of an experiment whose split does not move. ``group`` answers the rows of the
    groups that the route gives it, and no others. ``shadow`` gets copies when there is room, and
    its answers are only recorded. ``reference`` gets a copy of every row, computed with the
    request, and is only recorded: a fixed model that others are compared with.
    """

    name: VariantName
    model: Digest  # of the package's manifest
    version: str
    role: Role = "champion"
    share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0


class Groups(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which variant answers which group: values of one column of the request, by text."""

    column: str
    variants: dict[str, VariantName]


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An endpoint and its variants. ``entity`` names the inputs whose values make the key.

    ``groups`` comes before every draw. ``experiment`` names the test that the arms belong to; its
    entities are drawn anew for each name, and its split stays as it was begun.
    """

    variants: tuple[Variant, ...]
    entity: tuple[str, ...] = ()
    groups: Groups | None = None
    experiment: str = ""

    @property
    def champion(self) -> Variant:
        return next(variant for variant in self.variants if variant.role == "champion")

    @property
    def answering(self) -> tuple[Variant, ...]:
        """Those that may answer: those with a share or a group in order, the champion last."""
        others = (v for v in self.variants if v.role not in _COPIES and v.role != "champion")
        return (*others, self.champion)

    @property
    def watching(self) -> tuple[Variant, ...]:
        """Those that get copies: references and shadows."""
        return tuple(v for v in self.variants if v.role in _COPIES)

    def salt(self, endpoint: str) -> str:
        """What the draw of entities is keyed by."""
        return f"{endpoint}\x1f{self.experiment}" if self.experiment else endpoint


class RouteTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every endpoint's route, at one revision; stored as ``routes.json``.

    ``previous`` holds what each endpoint's route was before the last change, to go back to.
    """

    format: Literal["mainspring-routes/1"] = "mainspring-routes/1"
    revision: int = 0
    routes: dict[str, Route] = {}
    previous: dict[str, Route] = {}

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
        """The next revision, with the endpoint's route added or replaced.

        Errors: ``serving.bad_route``, ``serving.split_is_fixed``.
        """
        before = self.routes.get(endpoint)
        if before is not None:
            _check_split(endpoint, before, route)
        return self._next(
            {**self.routes, endpoint: check_route(endpoint, route)},
            {**self.previous, endpoint: before} if before is not None else self.previous,
        )

    def without(self, endpoint: str) -> RouteTable:
        """The next revision, without the endpoint."""
        return self._next(_except(self.routes, endpoint), _except(self.previous, endpoint))

    def rolled_back(self, endpoint: str) -> RouteTable:
        """The next revision, with the endpoint's route as it was before its last change.

        Rolling back twice is going forward again. Errors: ``serving.nothing_before``.
        """
        before = self.previous.get(endpoint)
        if before is None:
            raise NotFound(
                "serving.nothing_before",
                f"The endpoint {endpoint[:80]!r} has no route before this one.",
                hint="Deploy the version you want with: mainspring endpoints deploy.",
                endpoint=endpoint[:80],
            )
        return self._next(
            {**self.routes, endpoint: before}, {**self.previous, endpoint: self.route(endpoint)}
        )

    def _next(self, routes: dict[str, Route], previous: dict[str, Route]) -> RouteTable:
        return msgspec.structs.replace(
            self, revision=self.revision + 1, routes=routes, previous=previous
        )


def _except(routes: dict[str, Route], endpoint: str) -> dict[str, Route]:
    return {name: route for name, route in routes.items() if name != endpoint}


def check_route(endpoint: str, route: Route) -> Route:
    """The route itself, once it makes sense.

    Errors: ``serving.bad_route``: not exactly one champion, a name used twice, a share on a
    variant that is not a canary, or canaries that want more than everything.
    """
    why = _flaw(route)
    if why:
        raise Invalid(
            "serving.bad_route",
            f"The route of {endpoint[:80]!r} cannot be used: {why}.",
            hint="One champion; canaries or arms with shares up to 1 together; copies.",
            endpoint=endpoint[:80],
        )
    return route


def _flaw(route: Route) -> str:
    names = [variant.name for variant in route.variants]
    roles = {variant.role for variant in route.variants}
    answering = {v.name for v in route.variants if v.role not in _COPIES}
    grouped = set(route.groups.variants.values()) if route.groups else set()
    in_group = {v.name for v in route.variants if v.role == "group"}
    flaws = (
        (sum(v.role == "champion" for v in route.variants) != 1, "it needs exactly one champion"),
        (len(set(names)) != len(names), "two variants have the same name"),
        (
            any(v.share and v.role not in _SHARING for v in route.variants),
            "only a canary or an arm has a share",
        ),
        (
            sum(variant.share for variant in route.variants) > 1.0 + 1e-9,
            "its shares are more than 1 together",
        ),
        (roles >= _SHARING, "an experiment and a canary at once would blur each other"),
        (
            ("arm" in roles) != bool(route.experiment),
            "arms and the name of an experiment go together",
        ),
        (not grouped <= answering, "a group is given to a variant that does not answer"),
        (not in_group <= grouped, "a variant of role group has no group"),
    )
    return next((why for wrong, why in flaws if wrong), "")


def _check_split(endpoint: str, before: Route, after: Route) -> None:
    if not after.experiment or after.experiment != before.experiment:
        return
    if _split(before) != _split(after):
        raise Conflict(
            "serving.split_is_fixed",
            f"The experiment {after.experiment[:80]!r} is under way with another split.",
            hint="End it, or start one under another name: its entities are drawn anew.",
            endpoint=endpoint[:80],
        )


def _split(route: Route) -> list[tuple[str, Digest, float]]:
    return [(v.name, v.model, v.share) for v in route.variants if v.role in {"arm", "champion"}]


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

    Those with a share lie side by side from 0 on, each as wide as it; the champion (last) has
    the rest. So an entity that has met a canary keeps meeting it while its share grows.
    ``endpoint`` is what the draw is keyed by (:meth:`Route.salt`).
    """
    import numpy as np  # listing who answers needs none

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
