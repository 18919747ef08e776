"""Aliases of models over REST: moved only from where the caller thinks they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from mainspring._entrypoints._http import Request, Response
from mainspring._entrypoints._http.routing import Permission
from mainspring._entrypoints.api.operations import (
    Operation,
    body,
    query,
    reply,
)
from mainspring.core.errors import Invalid
from mainspring.registry import Registry
from mainspring.registry.types import Alias, Because, Move

READ: Permission = ("models", "read")
WRITE: Permission = ("models", "write")
_MOST_MOVES: Final = 10_000


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


@dataclass(frozen=True, slots=True)
class AliasOperations:
    """The operations on aliases."""

    registry: Registry

    def operations(self) -> list[Operation]:
        one = "/models/{name}"
        return [
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
                method="GET", path=f"{one}/moves", handler=self.every_move,
                permission=READ, summary="The history of all aliases, newest first.",
                gives=list[Move], asks=MovesQuery,
            ),
            Operation(
                method="GET", path=f"{one}/aliases/{{alias}}/then", handler=self.then_live,
                permission=READ, summary="Where an alias pointed at a past moment.",
                gives=PointedAt, asks=MomentQuery,
            ),
            Operation(
                method="POST", path=f"{one}/aliases/{{alias}}/moves", handler=self.move,
                permission=WRITE, summary="Moves an alias, if it is where the caller thinks.",
                gives=Move, takes=AliasMove,
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
        ]  # fmt: skip

    def alias(self, request: Request) -> Response:
        return reply(
            request, self.registry.aliases.get(request.params["name"], request.params["alias"])
        )

    def moves(self, request: Request) -> Response:
        name, alias = request.params["name"], request.params["alias"]
        return reply(request, self.registry.aliases.history(name, alias, limit=_limit(request)))

    def every_move(self, request: Request) -> Response:
        name = request.params["name"]
        return reply(request, self.registry.aliases.moves(name, limit=_limit(request)))

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


def _limit(request: Request) -> int:
    limit = query(request, MovesQuery).limit
    if not 1 <= limit <= _MOST_MOVES:
        raise Invalid("http.bad_query", f"limit is between 1 and {_MOST_MOVES}.")
    return limit
