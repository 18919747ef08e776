"""Models, versions and aliases of a server, as callers of the registry use them.

A change has a key, so that asking again after a broken connection makes no second one. Who made it
is whom the server knows by the token, whatever ``because`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final

import msgspec

from mainspring._adapters.remote.wire import Wire
from mainspring.core.ids import new_id
from mainspring.core.pages import Page
from mainspring.registry import ANYTHING, Because, Card, Details, Query, Version
from mainspring.registry.diff import Difference
from mainspring.registry.lookup import NOTHING
from mainspring.registry.packages import Verification
from mainspring.registry.types import Alias, Change, Expected, Model, Move, Status

_BLOCK_BYTES: Final = 1 << 20


class _Models(msgspec.Struct):
    items: tuple[Model, ...]
    next_token: str | None = None


class _Versions(msgspec.Struct):
    items: tuple[Version, ...]
    next_token: str | None = None


class _PointedAt(msgspec.Struct):
    version: int | None


@dataclass(frozen=True, slots=True)
class RemoteModels:
    """Models of a server."""

    wire: Wire

    def register(
        self,
        name: str,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        because: Because = NOTHING,
    ) -> Model:
        """A new model. Errors: ``registry.bad_name``, ``registry.name_taken``."""
        del because
        body = {"name": name, "description": description, "tags": dict(tags or {})}
        return self.wire.send(Model, "POST", "models", body=body)

    def get(self, name: str) -> Model:
        """The model of this name. Errors: ``registry.model_not_found``."""
        return self.wire.get(Model, "models", name)

    def search(self, query: Query | None = None) -> Page[Model]:
        """Models by name and tags."""
        found = self.wire.send(_Models, "POST", "model-search", body=query or Query())
        return Page(found.items, found.next_token)


@dataclass(frozen=True, slots=True)
class RemoteVersions:
    """Versions of a server's models."""

    wire: Wire

    def get(self, name: str, number: int) -> Version:
        """One version. Errors: ``registry.version_not_found``."""
        return self.wire.get(Version, "models", name, "versions", str(number))

    def search(self, query: Query | None = None) -> Page[Version]:
        """Versions by name, run, tags and more."""
        found = self.wire.send(_Versions, "POST", "version-search", body=query or Query())
        return Page(found.items, found.next_token)

    def changes(self, name: str, number: int) -> list[Change]:
        """A version's history of status and stage, oldest first."""
        return self.wire.get(list[Change], "models", name, "versions", str(number), "changes")

    def judge(self, name: str, number: int, status: Status, because: Because = NOTHING) -> Version:
        """The version as approved, rejected or archived."""
        body = {"status": status, "why": because.why}
        path = ("models", name, "versions", str(number), "judgements")
        return self.wire.send(Version, "POST", *path, body=body)

    def create_from_source(
        self, name: str, details: Details, *, because: Because = NOTHING
    ) -> Version:
        """The next version of a model whose files lie where ``details.source`` says."""
        body = {
            "source": details.source,
            "description": details.description,
            "tags": details.tags,
            "run_id": details.run_id,
            "key": details.key or new_id(),
            "why": because.why,
        }
        return self.wire.send(Version, "POST", "models", name, "versions", body=body)


@dataclass(frozen=True, slots=True)
class RemoteAliases:
    """Aliases of a server's models, moved by compare-and-set."""

    wire: Wire

    def get(self, name: str, alias: str) -> Alias:
        """Where an alias points, and its revision."""
        return self.wire.get(Alias, "models", name, "aliases", alias)

    def move(
        self, name: str, alias: str, *, to: int, expected: Expected, because: Because = NOTHING
    ) -> Move:
        """The move of an alias to a version. Errors: ``registry.alias_moved``."""
        body = {"version": to, **self._change(name, alias, expected, because)}
        return self.wire.send(Move, "POST", "models", name, "aliases", alias, "moves", body=body)

    def rollback(
        self, name: str, alias: str, *, expected: Expected, because: Because = NOTHING
    ) -> Move:
        """The move of an alias back to the version before the present one."""
        body = self._change(name, alias, expected, because)
        path = ("models", name, "aliases", alias, "rollbacks")
        return self.wire.send(Move, "POST", *path, body=body)

    def remove(
        self, name: str, alias: str, *, expected: Expected, because: Because = NOTHING
    ) -> Move | None:
        """The move that took an alias away; None when it pointed nowhere."""
        body = self._change(name, alias, expected, because)
        path = ("models", name, "aliases", alias, "removals")
        found: Any = self.wire.send(Move | None, "POST", *path, body=body)  # type: ignore[arg-type]
        return found if isinstance(found, Move) else None

    def history(self, name: str, alias: str, *, limit: int = 1_000) -> list[Move]:
        """Every move of an alias, newest first."""
        path = ("models", name, "aliases", alias, "moves")
        return self.wire.get(list[Move], *path, limit=limit)

    def moves(self, name: str, *, limit: int = 1_000) -> list[Move]:
        """Every move of every alias, newest first."""
        return self.wire.get(list[Move], "models", name, "moves", limit=limit)

    def live_at(self, name: str, alias: str, moment: datetime) -> int | None:
        """The version an alias pointed at in a past moment; None when at none."""
        path = ("models", name, "aliases", alias, "then")
        return self.wire.get(_PointedAt, *path, at=moment.isoformat()).version

    def resolve(self, address: str) -> Version:
        """The version that ``NAME@alias``, ``NAME/VERSION`` or ``NAME`` names."""
        return self.wire.get(Version, "model-addresses", address)

    def _change(
        self, name: str, alias: str, expected: Expected, because: Because
    ) -> dict[str, Any]:
        """The expectation as the wire has it; anything is what is there now."""
        if expected is ANYTHING:
            expected = self.get(name, alias)
        found: dict[str, Any] = {"why": because.why, "key": because.key or new_id()}
        if isinstance(expected, Alias):
            return {**found, "expected": expected.version, "revision": expected.revision}
        return {**found, "expected": expected}


@dataclass(frozen=True, slots=True)
class RemotePackages:
    """Packages of a server. Checks read every byte there, so they are waited for longer."""

    wire: Wire
    patient: Wire

    def card(self, name: str, number: int) -> Card:
        """The model card of a version."""
        return self.wire.get(Card, "models", name, "versions", str(number), "card")

    def verify(self, name: str, number: int) -> Verification:
        """Every stored byte of a version checked again, on the server."""
        path = ("models", name, "versions", str(number), "verification")
        return self.patient.get(Verification, *path)

    def diff(self, name: str, number: int, other: int) -> list[Difference]:
        """What differs from one version of a model to another."""
        path = ("models", name, "versions", str(number), "differences", str(other))
        return self.patient.get(list[Difference], *path)


@dataclass(frozen=True, slots=True)
class RemoteTransfers:
    """Versions out of and into a server's registry, as single files."""

    patient: Wire

    def export(
        self, name: str, number: int, target: BinaryIO, because: Because = NOTHING
    ) -> Version:
        """Writes a version, its card and its signature to a file."""
        del because
        path = ("models", name, "versions", str(number))
        version = self.patient.get(Version, *path)
        target.writelines(self.patient.stream(*path, "archive"))
        return version

    def load(
        self, source: BinaryIO, *, name: str | None = None, because: Because = NOTHING
    ) -> Version:
        """The version registered from an archive; the same archive again is the same version."""
        blocks = iter(lambda: source.read(_BLOCK_BYTES), b"")
        return self.patient.upload(Version, blocks, "model-archives", name=name, why=because.why)
