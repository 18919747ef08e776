"""Use cases on models: give a name, describe, rename, take away, list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from mainspring.core.errors import Conflict, NotFound
from mainspring.core.events import EventKind, Fact, Ref, ref
from mainspring.core.pages import Page
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.registry import events
from mainspring.registry.lookup import NOTHING, check_because, need_model, page, refuse_live
from mainspring.registry.moves import drop_aliases
from mainspring.registry.names import check_model_name, check_tags, check_text
from mainspring.registry.ports import RegistryStore
from mainspring.registry.query import Order, Query, check_query
from mainspring.registry.types import Because, Model


@dataclass(frozen=True, slots=True)
class Models:
    """Models by name. Every change is one transaction with its event."""

    database: Database
    store: RegistryStore
    clock: Clock

    def register(
        self,
        name: str,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        exists_ok: bool = False,
        because: Because = NOTHING,
    ) -> Model:
        """A new model; with ``exists_ok`` the one of this name if there is one.

        Errors: ``registry.bad_name``, ``registry.name_taken``.
        """
        name = check_model_name(name)
        model = Model(
            name=name,
            created=self.clock.now(),
            updated=self.clock.now(),
            description=check_text("description", description),
            tags=check_tags(tags or {}),
        )

        def work(tx: Transaction) -> Model:
            found = self.store.find_model(tx, name) if exists_ok else None
            if found is not None:
                return found
            stored = self.store.save_model(tx, model)
            facts = {"description": description, "tags": model.tags}
            self._announce(tx, events.MODEL_REGISTERED, stored, because, facts=facts)
            return stored

        return self.database.write(work)

    def get(self, name: str) -> Model:
        """The model of this name. Errors: ``registry.model_not_found``."""
        return self.database.read(lambda reader: need_model(self.store, reader, name))

    def search(self, query: Query | None = None) -> Page[Model]:
        """Models by name and tags. Errors: ``registry.bad_query``, ``registry.bad_token``."""
        query = check_query(query or Query())
        order = query.order or (Order("name"),)
        rows = self.database.read(lambda reader: self.store.search_models(reader, query))
        fields = [by.field for by in order]
        fields += [] if "name" in fields else ["name"]
        return page(query, rows, lambda model: [_key(model, field) for field in fields])

    def describe(self, name: str, description: str, because: Because = NOTHING) -> Model:
        """The model with another description."""
        check_text("description", description)
        return self._change(name, because, description=description)

    def tag(self, name: str, tags: Mapping[str, str], because: Because = NOTHING) -> Model:
        """The model with these tags set, beside those it has."""
        new = check_tags(tags)

        def work(tx: Transaction) -> Model:
            model = need_model(self.store, tx, name)
            return self._store(tx, model, because, tags={**model.tags, **new})

        return self.database.write(work)

    def untag(self, name: str, key: str, because: Because = NOTHING) -> Model:
        """The model without a tag; unchanged when it has none of this key."""

        def work(tx: Transaction) -> Model:
            model = need_model(self.store, tx, name)
            tags = {tag: value for tag, value in model.tags.items() if tag != key}
            return self._store(tx, model, because, tags=tags)

        return self.database.write(work)

    def rename(self, name: str, new_name: str, because: Because = NOTHING) -> Model:
        """The model under another name, its versions with it.

        Errors: ``registry.name_taken``, ``registry.name_retired``.
        """
        new_name = check_model_name(new_name)

        def work(tx: Transaction) -> Model:
            model = need_model(self.store, tx, name)
            if model.name == new_name:
                return model
            renamed = replace(model, name=new_name, updated=self.clock.now())
            stored = self.store.save_model(tx, renamed)
            check_because(because)
            before, after = self._version_refs(tx, model, stored)
            fact = Fact(
                kind=events.MODEL_RENAMED,
                subject=ref("model", stored.name),
                facts={"before": model.name, "after": stored.name, "why": because.why},
                used=(ref("model", model.name), *before),
                generated=(ref("model", stored.name), *after),
                actor=because.actor,
            )
            tx.announce(fact)
            return stored

        return self.database.write(work)

    def delete(self, name: str, *, with_aliases: bool = False, because: Because = NOTHING) -> Model:
        """The model, out of sight with all its versions; :meth:`restore` brings it back.

        Errors: ``registry.version_live`` while aliases point at its versions, unless
        ``with_aliases``: then they are removed first, each with its entry in the history.
        """

        def work(tx: Transaction) -> Model:
            model = need_model(self.store, tx, name)
            if not with_aliases:
                refuse_live(f"Model {name!r}", list(model.aliases))
            drop_aliases(self.store, tx, model, now=self.clock.now(), because=because)
            gone = replace(model, deleted=self.clock.now(), aliases={})
            self.store.save_model(tx, gone)
            self._announce(tx, events.MODEL_DELETED, gone, because)
            return gone

        return self.database.write(work)

    def restore(self, name: str, because: Because = NOTHING) -> Model:
        """The model of this name that was deleted last, back again; without its aliases.

        Errors: ``registry.model_not_found``, ``registry.name_taken``, ``registry.purged``.
        """

        def work(tx: Transaction) -> Model:
            back = replace(self._deleted(tx, name), deleted=None, updated=self.clock.now())
            stored = self.store.save_model(tx, back)
            self._announce(tx, events.MODEL_RESTORED, stored, because)
            return stored

        return self.database.write(work)

    def purge(self, name: str, because: Because = NOTHING) -> Model:
        """A deleted model without its versions, for good: garbage collection may free their bytes.

        Its name, the count of its versions and the histories of its aliases stay on record.
        Errors: ``registry.model_not_found`` unless it was deleted before, ``registry.purged``.
        """

        def work(tx: Transaction) -> Model:
            model = self._deleted(tx, name)
            self.store.erase(tx, model, None)
            empty = replace(model, description="", tags={}, purged=True)
            stored = self.store.save_model(tx, empty)
            self._announce(tx, events.MODEL_PURGED, stored, because)
            return stored

        return self.database.write(work)

    # -- inside ---------------------------------------------------------------------------------

    def _deleted(self, tx: Transaction, name: str) -> Model:
        model = self.store.find_model(tx, check_model_name(name), deleted=True)
        if model is None:
            raise NotFound(
                "registry.model_not_found",
                f"No model named {name!r} was deleted.",
                hint="Only a deleted model can be restored or purged.",
                name=name,
            )
        if model.purged:
            raise Conflict(
                "registry.purged",
                f"The deleted model {name!r} was purged; its versions are gone for good.",
                hint="Register it again; its versions go on counting.",
                name=name,
            )
        return model

    def _change(self, name: str, because: Because, **changed: Any) -> Model:
        return self.database.write(
            lambda tx: self._store(tx, need_model(self.store, tx, name), because, **changed)
        )

    def _store(self, tx: Transaction, model: Model, because: Because, **changed: Any) -> Model:
        if all(getattr(model, field) == value for field, value in changed.items()):
            return model
        stored = self.store.save_model(tx, replace(model, **changed, updated=self.clock.now()))
        self._announce(tx, events.MODEL_UPDATED, stored, because, facts=changed)
        return stored

    def _announce(
        self,
        tx: Transaction,
        kind: EventKind,
        model: Model,
        because: Because,
        *,
        facts: dict[str, Any] | None = None,
    ) -> None:
        check_because(because)
        told = {**(facts or {}), **({"why": because.why} if because.why else {})}
        subject = ref("model", model.name)
        made = (subject,) if kind == events.MODEL_REGISTERED else ()
        tx.announce(
            Fact(kind=kind, subject=subject, facts=told, generated=made, actor=because.actor)
        )

    def _version_refs(
        self, tx: Transaction, old: Model, new: Model
    ) -> tuple[tuple[Ref, ...], tuple[Ref, ...]]:
        numbers = self.store.numbers(tx, new)
        return (
            tuple(ref("model", f"{old.name}/{number}") for number in numbers),
            tuple(ref("model", f"{new.name}/{number}") for number in numbers),
        )


def _key(model: Model, field: str) -> str | int:
    if field == "name":
        return model.name
    return to_micros(model.created if field == "created" else model.updated)
