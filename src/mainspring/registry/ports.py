"""What the registry needs of a database and of a key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from mainspring.core.digest import Digest
from mainspring.ports.database import Reader, Transaction
from mainspring.registry.query import Query
from mainspring.registry.types import Change, Model, Move, Version


class RegistryStore(Protocol):
    """Rows of models, versions, aliases and their histories.

    Every method works inside the caller's transaction or snapshot and announces nothing. Names
    are in normal form C. What is deleted is found only when asked for.
    """

    def find_model(self, reader: Reader, name: str, *, deleted: bool = False) -> Model | None:
        """The live model of this exact name; with ``deleted`` the one deleted last."""
        ...

    def save_model(self, tx: Transaction, model: Model) -> Model:
        """The model as stored: a new row when its id is 0, else the row with all its fields.

        A name that once belonged to a model keeps count of its versions for ever, so no address
        ever means two packages.
        Errors: ``registry.name_taken`` by a live model of this name or one that differs only in
        case; ``registry.name_retired`` when an existing model takes a name that another model
        has used.
        """
        ...

    def search_models(self, reader: Reader, query: Query) -> list[Model]:
        """One row more than the limit when there are more, in order, with tags and aliases."""
        ...

    def find_version(
        self, reader: Reader, model: Model, number: int, *, deleted: bool = False
    ) -> Version | None:
        """One version of a model, with tags and aliases."""
        ...

    def add_version(self, tx: Transaction, version: Version) -> tuple[Version, bool]:
        """The version with its number, greater than any before it under this name; and True.

        A version of this model with the same ``key`` is returned as it is stored, and False.
        """
        ...

    def save_version(self, tx: Transaction, version: Version, change: Change | None = None) -> None:
        """Stores a version's changeable fields, and with them the entry in its history."""
        ...

    def search_versions(self, reader: Reader, query: Query) -> list[Version]:
        """One row more than the limit when there are more, in order, with tags and aliases."""
        ...

    def changes(self, reader: Reader, version: Version) -> list[Change]:
        """A version's history of status and stage, oldest first."""
        ...

    def numbers(self, reader: Reader, model: Model) -> list[int]:
        """The numbers of all versions of a model, the deleted ones too, in order."""
        ...

    def erase(self, tx: Transaction, model: Model, number: int | None) -> None:
        """Removes one version's rows, or those of all; the histories of aliases stay."""
        ...

    def move_alias(self, tx: Transaction, model: Model, move: Move) -> bool:
        """Points the alias at ``move.after`` and keeps the entry.

        False, and nothing done, unless the alias stood at the revision before ``move.revision``.
        """
        ...

    def moves(
        self,
        reader: Reader,
        model: Model,
        alias: str | None,
        *,
        until: datetime | None = None,
        limit: int = 1_000,
    ) -> list[Move]:
        """An alias's history (None: of all) up to and including a moment, newest first."""
        ...


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid signature says: which files, under which name, by which trusted key."""

    subject: str
    resources: dict[str, Digest]
    key_id: str


class Signing(Protocol):
    """A key that signs packages, and the keys whose signatures are believed."""

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key in PEM, as signatures carry it."""
        ...

    def sign(self, subject: str, resources: Mapping[str, Digest]) -> bytes:
        """A signature over the files, as a document of its own."""
        ...

    def check(self, signature: bytes) -> Signed:
        """What the signature says, once a trusted key has been found to have made it.

        Errors: ``registry.signature_unreadable``, ``registry.signature_untrusted``,
        ``registry.signature_invalid``.
        """
        ...
