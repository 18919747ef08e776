"""Experiments over REST."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mainspring._entrypoints._http import Request, Response
from mainspring._entrypoints._http.routing import Permission
from mainspring._entrypoints.api.operations import CREATED, Operation, body, listing, query, reply
from mainspring.tracking import Experiment, Experiments
from mainspring.tracking.types import View

READ: Permission = ("experiments", "read")
WRITE: Permission = ("experiments", "write")


class NewExperiment(msgspec.Struct, forbid_unknown_fields=True):
    """An experiment to make; with ``exists_ok`` the live one of this name, if there is one."""

    name: str
    tags: dict[str, str] = {}
    exists_ok: bool = False


class ExperimentChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    name: str | None = None
    tags: dict[str, str] = {}


class ExperimentQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which experiments; ``filter`` as MLflow writes it."""

    filter: str = ""
    order_by: tuple[str, ...] = ()
    view: View = "active"
    limit: int = 1000
    token: str | None = None


@dataclass(frozen=True, slots=True)
class ExperimentOperations:
    """The operations on experiments."""

    experiments: Experiments

    def operations(self) -> list[Operation]:
        one = "/experiments/{experiment_id}"
        return [
            Operation(
                method="GET", path="/experiments", handler=self.search, permission=READ,
                summary="Experiments, newest first unless ordered.",
                gives=Experiment, asks=ExperimentQuery, lists=True,
            ),
            Operation(
                method="POST", path="/experiments", handler=self.create, permission=WRITE,
                summary="A new experiment.",
                gives=Experiment, takes=NewExperiment, status=CREATED,
            ),
            Operation(
                method="GET", path=one, handler=self.get, permission=READ,
                summary="One experiment, live or deleted.", gives=Experiment,
            ),
            Operation(
                method="GET", path="/experiment-names/{name*}", handler=self.named,
                permission=READ, summary="The experiment of a name, live or deleted.",
                gives=Experiment,
            ),
            Operation(
                method="PATCH", path=one, handler=self.change, permission=WRITE,
                summary="The experiment under another name, or with more tags.",
                gives=Experiment, takes=ExperimentChange,
            ),
            Operation(
                method="DELETE", path=one, handler=self.delete, permission=WRITE,
                summary="Takes an experiment and its runs out of sight.",
            ),
            Operation(
                method="POST", path=f"{one}/restore", handler=self.restore, permission=WRITE,
                summary="Brings a deleted experiment and its runs back.",
            ),
        ]  # fmt: skip

    def search(self, request: Request) -> Response:
        asked = query(request, ExperimentQuery)
        return listing(
            request,
            self.experiments.search(
                asked.filter,
                order_by=asked.order_by,
                view=asked.view,
                limit=asked.limit,
                token=asked.token,
            ),
        )

    def create(self, request: Request) -> Response:
        new = body(request, NewExperiment)
        if new.exists_ok and not new.tags:
            found = self.experiments.ensure(new.name, actor=request.actor)
            return reply(request, found, CREATED)
        made = self.experiments.create(new.name, tags=new.tags, actor=request.actor)
        return reply(request, made, CREATED)

    def get(self, request: Request) -> Response:
        return reply(request, self.experiments.get(request.params["experiment_id"]))

    def named(self, request: Request) -> Response:
        return reply(request, self.experiments.named(request.params["name"]))

    def change(self, request: Request) -> Response:
        change = body(request, ExperimentChange)
        found = request.params["experiment_id"]
        if change.name is not None:
            self.experiments.rename(found, change.name, actor=request.actor)
        if change.tags:
            self.experiments.tag(found, change.tags, actor=request.actor)
        return self.get(request)

    def delete(self, request: Request) -> Response:
        self.experiments.delete(request.params["experiment_id"], actor=request.actor)
        return reply(request, {})

    def restore(self, request: Request) -> Response:
        self.experiments.restore(request.params["experiment_id"], actor=request.actor)
        return reply(request, {})
