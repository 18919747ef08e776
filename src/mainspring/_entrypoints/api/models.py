"""Models over REST."""

from __future__ import annotations

from dataclasses import dataclass

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
from mainspring.registry import Registry
from mainspring.registry.query import Query
from mainspring.registry.types import Because, Model, Version

READ: Permission = ("models", "read")
WRITE: Permission = ("models", "write")


class NewModel(msgspec.Struct, forbid_unknown_fields=True):
    """A model to register."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class ModelOperations:
    """The operations on models."""

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
                method="POST", path="/model-search", handler=self.search_models, permission=READ,
                summary="Models by conditions, in order.", gives=Model, takes=Query, lists=True,
            ),
            Operation(
                method="GET", path="/model-addresses/{address*}", handler=self.resolve,
                permission=READ, summary="The version that NAME, NAME@alias or NAME/VERSION names.",
                gives=Version,
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

    def search_models(self, request: Request) -> Response:
        return listing(request, self.registry.models.search(body(request, Query)))

    def resolve(self, request: Request) -> Response:
        return reply(request, self.registry.aliases.resolve(request.params["address"]))
