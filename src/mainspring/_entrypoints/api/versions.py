"""Versions of models over REST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from mainspring._entrypoints._http import Request, Response
from mainspring._entrypoints._http.routing import Permission
from mainspring._entrypoints.api.operations import (
    CREATED,
    Operation,
    PageQuery,
    body,
    listing,
    query,
    reply,
)
from mainspring.core.errors import Invalid
from mainspring.registry import Card, Details, Registry
from mainspring.registry.query import Clause, Query
from mainspring.registry.types import Because, Change, Status, Version

READ: Permission = ("models", "read")
WRITE: Permission = ("models", "write")
_MOST_DIGITS: Final = 15


class NewVersion(msgspec.Struct, forbid_unknown_fields=True):
    """A version to register by where its files lie; with a ``key`` the call may be repeated."""

    source: str
    description: str = ""
    tags: dict[str, str] = {}
    run_id: str = ""
    key: str | None = None
    why: str = ""


class Judgement(msgspec.Struct, forbid_unknown_fields=True):
    """What becomes of a version, and why."""

    status: Status
    why: str = ""


@dataclass(frozen=True, slots=True)
class VersionOperations:
    """The operations on versions."""

    registry: Registry

    def operations(self) -> list[Operation]:
        one = "/models/{name}"
        return [
            Operation(
                method="GET", path=f"{one}/versions", handler=self.versions, permission=READ,
                summary="A model's versions, newest change first.",
                gives=Version, asks=PageQuery, lists=True,
            ),
            Operation(
                method="GET", path=f"{one}/versions/{{number}}", handler=self.version,
                permission=READ, summary="One version.", gives=Version,
            ),
            Operation(
                method="GET", path=f"{one}/versions/{{number}}/changes", handler=self.changes,
                permission=READ, summary="A version's history of status and stage.",
                gives=list[Change],
            ),
            Operation(
                method="GET", path=f"{one}/versions/{{number}}/card", handler=self.card,
                permission=READ, summary="A version's model card.", gives=Card,
            ),
            Operation(
                method="POST", path=f"{one}/versions/{{number}}/judgements", handler=self.judge,
                permission=WRITE, summary="Approves, rejects or archives a version.",
                gives=Version, takes=Judgement,
            ),
            Operation(
                method="POST", path=f"{one}/versions", handler=self.add, permission=WRITE,
                summary="Registers a version by where its files lie.",
                gives=Version, takes=NewVersion, status=CREATED,
            ),
            Operation(
                method="POST", path="/version-search", handler=self.search_versions,
                permission=READ, summary="Versions by conditions, in order.",
                gives=Version, takes=Query, lists=True,
            ),
        ]  # fmt: skip

    def versions(self, request: Request) -> Response:
        asked = query(request, PageQuery)
        name = self.registry.models.get(request.params["name"]).name
        clauses = (Clause("name", "=", name),)
        return listing(
            request,
            self.registry.versions.search(
                Query(clauses=clauses, limit=asked.limit, token=asked.token)
            ),
        )

    def version(self, request: Request) -> Response:
        name, number = request.params["name"], version_number(request.params["number"])
        return reply(request, self.registry.versions.get(name, number))

    def changes(self, request: Request) -> Response:
        name, number = request.params["name"], version_number(request.params["number"])
        return reply(request, self.registry.versions.changes(name, number))

    def card(self, request: Request) -> Response:
        name, number = request.params["name"], version_number(request.params["number"])
        return reply(request, self.registry.packages.card(name, number))

    def judge(self, request: Request) -> Response:
        asked = body(request, Judgement)
        because = Because(why=asked.why, actor=request.actor)
        judged = self.registry.versions.judge(
            request.params["name"], version_number(request.params["number"]), asked.status, because
        )
        return reply(request, judged)

    def add(self, request: Request) -> Response:
        new = body(request, NewVersion)
        details = Details(
            source=new.source,
            description=new.description,
            tags=new.tags,
            run_id=new.run_id,
            key=new.key,
            created_by=request.actor.name,
        )
        because = Because(why=new.why, actor=request.actor)
        made = self.registry.versions.create_from_source(
            request.params["name"], details, because=because
        )
        return reply(request, made, CREATED)

    def search_versions(self, request: Request) -> Response:
        return listing(request, self.registry.versions.search(body(request, Query)))


def version_number(number: str) -> int:
    """The number in an address. Errors: ``http.bad_version``."""
    if not (number.isascii() and number.isdigit()) or len(number) > _MOST_DIGITS:
        raise Invalid("http.bad_version", f"{number[:40]!r} is not the number of a version.")
    return int(number)
