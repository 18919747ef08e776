"""Models, one model with its versions and aliases, and one version with its card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.ui.lineage import lineage_of, tracked
from mainspring._entrypoints.ui.rendering import READ_MODELS, one, page
from mainspring.core.errors import Invalid, MainspringError, NotFound
from mainspring.governance.service import Record
from mainspring.registry import Card, Clause, Order, Query, Registry, Version
from mainspring.registry.names import MAX_VERSION
from mainspring.registry.types import Move
from mainspring.tracking import Tracking

ROWS: Final = 50
CHAMPION: Final = "champion"
_MOVES: Final = 100
_MAX_DIGITS: Final = 10


class Then(msgspec.Struct, frozen=True):
    """Where an alias pointed at a past moment; version None: nowhere."""

    alias: str
    at: datetime
    version: int | None


def _past(text: str) -> datetime | None:
    """A moment in UTC as a form sends it. Errors: ``http.bad_query``."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(
            "http.bad_query",
            f"{text[:40]!r} is not a moment.",
            hint="Write it like 2024-05-01T12:00, in UTC.",
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ModelPages:
    """The handlers of the registry's pages."""

    registry: Registry
    record: Record
    tracking: Tracking

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/models", self.models, READ_MODELS),
            Route("GET", "/models/{name}", self.model, READ_MODELS),
            Route("GET", "/models/{name}/{number}", self.version, READ_MODELS),
        ]

    def models(self, request: Request) -> Response:
        query = Query(order=(Order("name"),), limit=ROWS, token=one(request, "after") or None)
        found = self.registry.models.search(query)
        return page("models.html", area="models", models=found.items, more=found.next_token)

    def model(self, request: Request) -> Response:
        model = self.registry.models.get(request.params["name"])
        query = Query(
            clauses=(Clause("name", "=", model.name),),
            order=(Order("number", descending=True),),
            limit=ROWS,
            token=one(request, "after") or None,
        )
        versions = self.registry.versions.search(query)
        asked = one(request, "alias").strip()
        at = _past(one(request, "at").strip())
        return page(
            "model.html",
            area="models",
            model=model,
            versions=versions.items,
            tracked=tracked(self.tracking, (version.run_id for version in versions.items)),
            more=versions.next_token,
            moves=self._moves(model.name, asked),
            asked=asked,
            at=one(request, "at").strip(),
            then=self._then(model.name, asked or CHAMPION, at) if at else None,
        )

    def version(self, request: Request) -> Response:
        number = request.params["number"]
        plain = number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS
        if not plain or not 0 < int(number) <= MAX_VERSION:
            raise NotFound(
                "registry.version_not_found",
                f"{number[:40]!r} is not the number of a version.",
                hint="See the model's page for the versions there are.",
            )
        version = self.registry.versions.get(request.params["name"], int(number))
        card, fault = self._card(version)
        return page(
            "version.html",
            area="models",
            version=version,
            tracked=bool(tracked(self.tracking, (version.run_id,))),
            changes=self.registry.versions.changes(version.name, version.number),
            card=card,
            fault=fault,
            lineage=lineage_of(self.record, version.ref, self.tracking),
        )

    def _then(self, name: str, alias: str, at: datetime) -> Then:
        """Where an alias pointed at a past moment."""
        return Then(alias, at, self.registry.aliases.live_at(name, alias, at))

    def _moves(self, name: str, alias: str) -> list[Move]:
        """The latest moves of an alias or, without one, of all that ever were, newest first."""
        aliases = self.registry.aliases
        if alias:
            return aliases.history(name, alias, limit=_MOVES)
        return aliases.moves(name, limit=_MOVES)

    def _card(self, version: Version) -> tuple[Card | None, MainspringError | None]:
        """The card, or what is wrong with the package; neither when there is no package."""
        if version.package is None:
            return None, None
        try:
            return self.registry.packages.card(version.name, version.number), None
        except MainspringError as fault:  # the rest of the page still tells what is on record
            return None, fault
