"""The newest features of each entity, to be had in a moment: what an endpoint looks up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec


class Published(msgspec.Struct, frozen=True):
    """A view as it was last published: of which moment it is, and how many entities it holds."""

    view: str
    as_of_micros: int
    entities: int


class Found(msgspec.Struct, frozen=True):
    """What was published of some entities, in the order they were asked for; None where nothing."""

    as_of_micros: int
    values: tuple[bytes | None, ...]


class Online(Protocol):
    """Values by feature recipe, view and entity, as bytes that only their writer understands.

    Concurrency: any thread and any number of processes; a publication replaces a view as a whole,
    and a reader sees the one before or the one after, never some of each.
    Errors: ``database.unavailable``, ``database.full``, ``database.broken``.
    """

    def describe(self, recipe: str, plan: bytes) -> None:
        """Keeps what tells how to read the views of a recipe; a later one replaces it."""
        ...

    def plan(self, recipe: str) -> bytes | None:
        """What was kept by :meth:`describe`, or None."""
        ...

    def publish(
        self, recipe: str, view: str, entities: Iterable[tuple[str, bytes]], *, as_of_micros: int
    ) -> bool:
        """Replaces a view; False, and nothing is changed, when it is of a later moment already."""
        ...

    def find(self, recipe: str, view: str, keys: Sequence[str]) -> Found | None:
        """The values of these entities; None when the view was never published."""
        ...

    def views(self, recipe: str) -> list[Published]:
        """The published views of a recipe, by name."""
        ...

    def close(self) -> None:
        """Lets go."""
        ...
