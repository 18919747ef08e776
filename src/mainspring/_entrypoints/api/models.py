"""Models, versions and aliases over REST."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mainspring._entrypoints._http import Request, Response, json_response
from mainspring._entrypoints._http.routing import Permission
from mainspring._entrypoints.api.operations import CREATED, Operation, body, listing, query
from mainspring.core.errors import Invalid
from mainspring.registry import Registry
from mainspring.registry.query import Clause, Query
from mainspring.registry.types import Alias, Because, Model, Move, Version

READ: Permission = ("models", "read")
WRITE: Permission = ("models", "write")
_MOST_DIGITS = 15


class NewModel(msgspec.Struct, forbid_unknown_fields=True):
    """A model to register."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}


class AliasMove(msgspec.Struct, forbid_unknown_fields=True):
    """Where an alias shall point, made only if it points at ``expected`` now (null: nowhere)."""

    version: int
    expected: int | None
    why: str = ""
    key: str = ""


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
            ),
            Operation(
                method="POST", path=f"{one}/aliases/{{alias}}/moves", handler=self.move,
                permission=WRITE, summary="Moves an alias, if it is where the caller thinks.",
                gives=Move, takes=AliasMove,
            ),
        ]  # fmt: skip

    def search(self, request: Request) -> Response:
        asked = query(request, PageQuery)
        return listing(self.registry.models.search(Query(limit=asked.limit, token=asked.token)))

    def register(self, request: Request) -> Response:
        new = body(request, NewModel)
        because = Because(actor=request.actor)
        made = self.registry.models.register(
            new.name, description=new.description, tags=new.tags, because=because
        )
        return json_response(made, CREATED)

    def get(self, request: Request) -> Response:
        return json_response(self.registry.models.get(request.params["name"]))

    def versions(self, request: Request) -> Response:
        asked = query(request, PageQuery)
        name = self.registry.models.get(request.params["name"]).name
        clauses = (Clause("name", "=", name),)
        return listing(
            self.registry.versions.search(
                Query(clauses=clauses, limit=asked.limit, token=asked.token)
            )
        )

    def version(self, request: Request) -> Response:
        number = request.params["number"]
        if not (number.isascii() and number.isdigit()) or len(number) > _MOST_DIGITS:
            raise Invalid("http.bad_version", f"{number[:40]!r} is not the number of a version.")
        return json_response(self.registry.versions.get(request.params["name"], int(number)))

    def alias(self, request: Request) -> Response:
        return json_response(
            self.registry.aliases.get(request.params["name"], request.params["alias"])
        )

    def moves(self, request: Request) -> Response:
        return json_response(
            self.registry.aliases.history(request.params["name"], request.params["alias"])
        )

    def move(self, request: Request) -> Response:
        asked = body(request, AliasMove)
        because = Because(why=asked.why, actor=request.actor, key=asked.key)
        return json_response(
            self.registry.aliases.move(
                request.params["name"],
                request.params["alias"],
                to=asked.version,
                expected=asked.expected,
                because=because,
            )
        )
