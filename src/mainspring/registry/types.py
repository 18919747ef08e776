"""Models, versions, aliases and their histories as values; which states may follow which."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto
from typing import Any, Final, Literal, get_args

import msgspec

from mainspring.core.actor import Actor
from mainspring.core.digest import Digest
from mainspring.core.errors import Invalid
from mainspring.core.events import Ref, ref

Status = Literal["registered", "approved", "rejected", "archived"]
Stage = Literal["None", "Staging", "Production", "Archived"]
Readiness = Literal["READY", "PENDING_REGISTRATION", "FAILED_REGISTRATION"]

STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

# A rejected version stays rejected: a better one gets a number of its own.
NEXT_STATUS: Final[dict[Status, frozenset[Status]]] = {
    "registered": frozenset({"approved", "rejected", "archived"}),
    "approved": frozenset({"rejected", "archived"}),
    "rejected": frozenset({"archived"}),
    "archived": frozenset(),
}
RELEASABLE: Final[frozenset[Status]] = frozenset({"registered", "approved"})


class Because(msgspec.Struct, frozen=True):
    """Who changes something, why, and what it rests on (JSON: test results, links, numbers).

    With ``key`` a move of an alias happens once: asked for again after a crash, with the same
    key, it returns the move of the first time and makes no other.
    """

    why: str = ""
    actor: Actor | None = None
    evidence: dict[str, Any] = {}
    key: str = ""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A name under which versions gather. ``id`` is 0 until the model is stored."""

    name: str
    created: datetime
    updated: datetime
    id: int = 0
    description: str = ""
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}
    deleted: datetime | None = None
    purged: bool = False


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model. ``name`` and ``number`` never mean another package again.

    ``package`` is the digest of the manifest; None for a version that an MLflow client registered
    by ``source`` alone. ``facts`` is the digest of what training recorded, ``signature`` that of
    the signature. ``registered_as`` is the address at registration: a later rename does not touch
    what was signed. ``key`` makes a registration happen once.
    """

    model_id: int
    name: str
    created: datetime
    updated: datetime
    number: int = 0
    status: Status = "registered"
    reason: str = ""
    stage: Stage = "None"
    readiness: Readiness = "READY"
    readiness_message: str = ""
    package: Digest | None = None
    facts: Digest | None = None
    signature: Digest | None = None
    registered_as: str = ""
    source: str = ""
    run_id: str = ""
    run_link: str = ""
    logged_model_id: str = ""
    created_by: str = ""
    description: str = ""
    tags: dict[str, str] = {}
    aliases: tuple[str, ...] = ()
    key: str | None = None
    deleted: datetime | None = None

    @property
    def address(self) -> str:
        return f"{self.name}/{self.number}"

    @property
    def ref(self) -> Ref:
        return ref("model", self.address)


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """Where an alias points now. ``revision`` grows with every move and never repeats."""

    name: str
    alias: str
    version: int | None
    revision: int


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One entry in an alias's history: from which version to which, when, by whom and why.

    ``time`` never goes back within one alias, even when the clock does: order is by revision.
    """

    alias: str
    revision: int
    before: int | None
    after: int | None
    time: datetime
    actor: str
    why: str
    evidence: dict[str, Any]
    sequence: int

    @property
    def key(self) -> str:
        return str(self.evidence.get("key", ""))


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One entry in a version's own history: its status or its stage."""

    field: Literal["status", "stage"]
    before: str
    after: str
    time: datetime
    actor: str
    why: str
    evidence: dict[str, Any]
    sequence: int


class Anything(Enum):
    """The expectation of a caller who overwrites whatever is there."""

    ANYTHING = auto()


ANYTHING: Final = Anything.ANYTHING
Expected = Alias | int | None | Literal[Anything.ANYTHING]


def parse_stage(text: str) -> Stage:
    """The stage that a text names, in any case.

    Errors: ``registry.bad_stage``.
    """
    for stage in STAGES:
        if stage.lower() == text.lower():
            return stage
    raise Invalid(
        "registry.bad_stage",
        f"{text[:40]!r} is not a stage.",
        hint=f"Stages are {', '.join(STAGES)}.",
        stage=ascii(text[:40]),
    )
