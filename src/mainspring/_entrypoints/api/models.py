"""Models, versions and aliases over REST."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from mainspring._entrypoints._http import Request, Response
from mainspring._entrypoints._http.routing import Permission
from mainspring._entrypoints.api.operations import CREATED, Operation, body, listing, query, reply
from mainspring.core.errors import Invalid
from mainspring.registry import Card, Details, Registry
from mainspring.registry.query import Clause, Query
from mainspring.registry.types import Alias, Because, Change, Model, Move, Status, Version

READ: Permission = ("models", "read")
WRITE: Permission = ("models", "write")
_MOST_DIGITS = 15
_MOST_MOVES = 10_000


class NewModel(msgspec.Struct, forbid_unknown_fields=True):
    """A model to register."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}


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


class AliasChange(msgspec.Struct, forbid_unknown_fields=True):
    """A change of an alias made only if it points at ``expected`` now (null: nowhere).

    With ``revision`` it must also not have moved since that was read.
    """

    expected: int | None
    revision: int | None = None
    why: str = ""
    key: str = ""


class AliasMove(msgspec.Struct, forbid_unknown_fields=True):
    """Where an alias shall point, made only if it points at ``expected`` now (null: nowhere)."""

    version: int
    expected: int | None
    revision: int | None = None
    why: str = ""
    key: str = ""


class MomentQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A past moment (RFC 3339)."""

    at: datetime


class MovesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How many moves at most."""

    limit: int = 1000


class PointedAt(msgspec.Struct):
    """The version that an alias pointed at; null: at none."""

    version: int | None


class PageQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which page."""

    limit: int = 100
    token: str | None = None


@dataclass(frozen=True, slots=True)
class ModelOperations:
    """The operations on the registry."""

    registry: Registry

    def operations(self) -> list[Operation]:
        one = "/models/{name}"
        return [
            Operation(
                method="GET", path="/models", handler=self.search, permission=READ,
                summary="Models by name.", gives=Model, asks=PageQuery, lists=True,
            ),
            Operation(
                method="POST", path="/models", handler=self.register, permission=WRITE,
                summary="A new model.", gives=Model, takes=NewModel, status=CREATED,
            ),
            Operation(
                method="GET", path=one, handler=self.get, permission=READ,
                summary="One model, with where its aliases point.", gives=Model,
            ),
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
                method="GET", path=f"{one}/aliases/{{alias}}", handler=self.alias,
                permission=READ, summary="Where an alias points.", gives=Alias,
            ),
            Operation(
                method="GET", path=f"{one}/aliases/{{alias}}/moves", handler=self.moves,
                permission=READ, summary="An alias's history, newest first.", gives=list[Move],
                asks=MovesQuery,
            ),
            Operation(
                method="GET", path=f"{one}/aliases/{{alias}}/then", handler=self.then_live,
                permission=READ, summary="Where an alias pointed at a past moment.",
                gives=PointedAt, asks=MomentQuery,
            ),
            Operation(
                method="POST", path=f"{one}/aliases/{{alias}}/rollbacks", handler=self.rollback,
                permission=WRITE, summary="Moves an alias back to the version before.",
                gives=Move, takes=AliasChange,
            ),
            Operation(
                method="POST", path=f"{one}/aliases/{{alias}}/removals", handler=self.remove,
                permission=WRITE, summary="Takes an alias away; null when it pointed nowhere.",
                gives=Move | None, takes=AliasChange,
            ),
            Operation(
                method="POST", path=f"{one}/versions", handler=self.add, permission=WRITE,
                summary="Registers a version by where its files lie.",
                gives=Version, takes=NewVersion, status=CREATED,
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
                method="POST", path="/model-search", handler=self.search_models, permission=READ,
                summary="Models by conditions, in order.", gives=Model, takes=Query, lists=True,
            ),
            Operation(
                method="POST", path="/version-search", handler=self.search_versions,
                permission=READ, summary="Versions by conditions, in order.",
                gives=Version, takes=Query, lists=True,
            ),
            Operation(
                method="GET", path="/model-addresses/{address*}", handler=self.resolve,
                permission=READ, summary="The version that NAME, NAME@alias or NAME/VERSION names.",
                gives=Version,
            ),
            Operation(
                method="POST", path=f"{one}/aliases/{{alias}}/moves", handler=self.move,
                permission=WRITE, summary="Moves an alias, if it is where the caller thinks.",
                gives=Move, takes=AliasMove,
            ),
        ]  # fmt: skip

    def search(self, request: Request) -> Response:
        asked = query(request, PageQuery)
        return listing(
            request, self.registry.models.search(Query(limit=asked.limit, token=asked.token))
        )

    def register(self, request: Request) -> Response:
        new = body(request, NewModel)
        because = Because(actor=request.actor)
        made = self.registry.models.register(
            new.name, description=new.description, tags=new.tags, because=because
        )
        return reply(request, made, CREATED)

    def get(self, request: Request) -> Response:
        return reply(request, self.registry.models.get(request.params["name"]))

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
        name, number = request.params["name"], _number(request)
        return reply(request, self.registry.versions.get(name, number))

    def changes(self, request: Request) -> Response:
        name, number = request.params["name"], _number(request)
        return reply(request, self.registry.versions.changes(name, number))

    def card(self, request: Request) -> Response:
        name, number = request.params["name"], _number(request)
        return reply(request, self.registry.packages.card(name, number))

    def judge(self, request: Request) -> Response:
        asked = body(request, Judgement)
        because = Because(why=asked.why, actor=request.actor)
        judged = self.registry.versions.judge(
            request.params["name"], _number(request), asked.status, because
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

    def search_models(self, request: Request) -> Response:
        return listing(request, self.registry.models.search(body(request, Query)))

    def search_versions(self, request: Request) -> Response:
        return listing(request, self.registry.versions.search(body(request, Query)))

    def resolve(self, request: Request) -> Response:
        return reply(request, self.registry.aliases.resolve(request.params["address"]))

    def alias(self, request: Request) -> Response:
        return reply(
            request, self.registry.aliases.get(request.params["name"], request.params["alias"])
        )

    def moves(self, request: Request) -> Response:
        limit = query(request, MovesQuery).limit
        if not 1 <= limit <= _MOST_MOVES:
            raise Invalid("http.bad_query", f"limit is between 1 and {_MOST_MOVES}.")
        name, alias = request.params["name"], request.params["alias"]
        return reply(request, self.registry.aliases.history(name, alias, limit=limit))

    def then_live(self, request: Request) -> Response:
        at = query(request, MomentQuery).at
        name, alias = request.params["name"], request.params["alias"]
        moment = at if at.tzinfo else at.replace(tzinfo=UTC)
        return reply(request, PointedAt(self.registry.aliases.live_at(name, alias, moment)))

    def move(self, request: Request) -> Response:
        asked = body(request, AliasMove)
        moved = self.registry.aliases.move(
            request.params["name"],
            request.params["alias"],
            to=asked.version,
            expected=_expected(request, asked),
            because=_because(request, asked),
        )
        return reply(request, moved)

    def rollback(self, request: Request) -> Response:
        asked = body(request, AliasChange)
        moved = self.registry.aliases.rollback(
            request.params["name"],
            request.params["alias"],
            expected=_expected(request, asked),
            because=_because(request, asked),
        )
        return reply(request, moved)

    def remove(self, request: Request) -> Response:
        asked = body(request, AliasChange)
        moved = self.registry.aliases.remove(
            request.params["name"],
            request.params["alias"],
            expected=_expected(request, asked),
            because=_because(request, asked),
        )
        return reply(request, moved)


def _number(request: Request) -> int:
    number = request.params["number"]
    if not (number.isascii() and number.isdigit()) or len(number) > _MOST_DIGITS:
        raise Invalid("http.bad_version", f"{number[:40]!r} is not the number of a version.")
    return int(number)


def _expected(request: Request, asked: AliasMove | AliasChange) -> Alias | int | None:
    if asked.revision is None:
        return asked.expected
    return Alias(
        name=request.params["name"],
        alias=request.params["alias"],
        version=asked.expected,
        revision=asked.revision,
    )


def _because(request: Request, asked: AliasMove | AliasChange) -> Because:
    return Because(why=asked.why, actor=request.actor, key=asked.key)
