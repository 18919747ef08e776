"""Taking models and versions in from another registry, in order, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.registry.details import Details
from mainspring.registry.query import Clause, Query
from mainspring.registry.service import Registry
from mainspring.registry.types import ANYTHING, Because, Version

Tell = Callable[[str, str], None]  # where, and what differs


class ForeignVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version as another registry holds it; ``source`` already as it reads from here."""

    number: int
    source: str
    stage: str = "None"
    run_id: str = ""
    logged_model_id: str = ""
    description: str = ""
    created_by: str = ""
    tags: dict[str, str] = {}


class ForeignModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as another registry holds it."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}
    versions: tuple[ForeignVersion, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryIntake:
    """Takes models of one origin in; ``differs`` gets what is not here as it was there.

    May be repeated: each version is registered once, under a key of origin, model and number.
    """

    registry: Registry
    origin: str
    differs: Tell

    def take(self, models: Iterable[ForeignModel]) -> tuple[int, int]:
        """How many models and how many new versions were taken."""
        count, versions = 0, 0
        for model in models:
            try:
                versions += self._model(model)
                count += 1
            except (Invalid, Conflict, NotFound) as error:
                self.differs(f"model {model.name}", f"not whole: {error.message}")
        return count, versions

    def _model(self, model: ForeignModel) -> int:
        because = Because(why=f"imported from {self.origin}"[:1000])
        self.registry.models.register(
            model.name,
            description=model.description,
            tags=model.tags,
            exists_ok=True,
            because=because,
        )
        numbers: dict[int, int] = {}
        new = 0
        for version in sorted(model.versions, key=lambda one: one.number):
            made, is_new = self._version(model.name, version, because)
            numbers[version.number] = made.number
            new += is_new
            if made.number != version.number:
                where = f"model {model.name}/{version.number}"
                self.differs(where, f"is version {made.number} here")
        for alias, number in model.aliases.items():
            if number in numbers:
                self.registry.aliases.move(
                    model.name, alias, to=numbers[number], expected=ANYTHING, because=because
                )
        return new

    def _version(
        self, name: str, version: ForeignVersion, because: Because
    ) -> tuple[Version, bool]:
        key = f"import:{self.origin}:{name}/{version.number}"[-256:]
        clauses = (Clause("name", "=", name), Clause("key", "=", key))
        known = self.registry.versions.search(Query(clauses=clauses)).items
        made = self.registry.versions.create_from_source(
            name,
            Details(
                source=version.source,
                run_id=version.run_id,
                logged_model_id=version.logged_model_id,
                description=version.description,
                created_by=version.created_by,
                tags=version.tags,
                key=key,
            ),
            because=because,
        )
        if version.stage not in {"None", made.stage}:
            made = self.registry.versions.transition(
                name, made.number, version.stage, because=because
            )
        return made, not known
