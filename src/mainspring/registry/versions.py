"""Use cases on versions: register a package, judge, stage, describe, take away, list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from mainspring.core.digest import Digest
from mainspring.core.errors import Conflict, NotFound
from mainspring.core.events import EventKind, Fact, Ref, ref
from mainspring.core.pages import Page
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.registry import events
from mainspring.registry.details import Details, check_details
from mainspring.registry.facts import write_facts
from mainspring.registry.lookup import (
    NOTHING,
    actor_name,
    check_because,
    need_model,
    need_version,
    page,
    refuse_live,
    version_not_found,
)
from mainspring.registry.manifest import Manifest
from mainspring.registry.moves import drop_aliases
from mainspring.registry.names import check_model_name, check_tags, check_text
from mainspring.registry.packages import Packages
from mainspring.registry.ports import RegistryStore
from mainspring.registry.query import Clause, Query, check_query
from mainspring.registry.source import parse_source
from mainspring.registry.types import (
    NEXT_STATUS,
    STAGES,
    Because,
    Change,
    Model,
    Stage,
    Status,
    Version,
    parse_stage,
)

BATCH: Final = 500  # models whose newest versions are looked up at once


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of models. Every change is one transaction with its event."""

    database: Database
    store: RegistryStore
    clock: Clock
    packages: Packages

    def create(
        self,
        name: str,
        manifest: Manifest,
        files: Mapping[str, bytes],
        *,
        details: Details | None = None,
        because: Because = NOTHING,
    ) -> Version:
        """The next version of a model, made of this package; signed when signing is on.

        The bytes are stored before the row that names them, so a crash leaves no half version.
        With the same ``details.key`` and package again, the version of the first time.
        Errors: ``registry.model_not_found``, ``registry.package_mismatch``,
        ``registry.bad_manifest``, ``registry.bad_path``, ``registry.key_reused``.
        """
        details = check_details(details or Details())
        package = self.packages.store_package(manifest, files)
        version = self._add(name, details, because, package=package, manifest=manifest)
        if self.packages.signing is None or version.signature is not None:
            return version
        return self.packages.sign(version.name, version.number)

    def create_from_source(
        self, name: str, details: Details, *, because: Because = NOTHING
    ) -> Version:
        """The next version of a model whose files lie where ``details.source`` says.

        Such a version has no package: it can be listed, staged and aliased, and its files are
        checked when they are read. Errors: ``registry.bad_source``, ``registry.model_not_found``.
        """
        check_details(details)
        parse_source(details.source)
        return self._add(name, details, because)

    def get(self, name: str, number: int) -> Version:
        """One version. Errors: ``registry.model_not_found``, ``registry.version_not_found``."""
        return self.database.read(lambda reader: need_version(self.store, reader, name, number))

    def search(self, query: Query | None = None) -> Page[Version]:
        """Versions by name, run, tags and more, newest change first unless ordered.

        Errors: ``registry.bad_query``, ``registry.bad_token``.
        """
        query = check_query(query or Query())
        rows = self._rows(query)
        order = [by.field for by in query.order] or ["updated"]
        fields = order + [field for field in ("name", "number") if field not in order]
        return page(query, rows, lambda version: [_key(version, field) for field in fields])

    def latest(self, name: str, stages: Iterable[str] = ()) -> list[Version]:
        """The newest version in each of these stages (in all, when none is named).

        Errors: ``registry.model_not_found``, ``registry.bad_stage``.
        """
        wanted = [parse_stage(stage) for stage in stages] or list(STAGES)
        self.database.read(lambda reader: need_model(self.store, reader, name))
        found = self.latest_of([name])[check_model_name(name)]
        return [version for stage in wanted for version in found if version.stage == stage]

    def latest_of(self, names: Sequence[str]) -> dict[str, list[Version]]:
        """For each of these models its newest version in each stage: one search for all."""
        known = {check_model_name(name): list[Version]() for name in names}
        for start in range(0, len(known), BATCH):
            some = tuple(known)[start : start + BATCH]
            clauses = (Clause("name", "in", some), Clause("stage", "newest"))
            query = Query(clauses=clauses, limit=BATCH * len(STAGES))
            for version in self._rows(query):
                known[version.name].append(version)
        return known

    def changes(self, name: str, number: int) -> list[Change]:
        """A version's history of status and stage, oldest first."""
        return self.database.read(
            lambda reader: self.store.changes(
                reader, need_version(self.store, reader, name, number)
            )
        )

    def describe(
        self, name: str, number: int, description: str, because: Because = NOTHING
    ) -> Version:
        """The version with another description."""
        check_text("description", description)

        def work(tx: Transaction) -> Version:
            version = need_version(self.store, tx, name, number)
            return self._update(tx, version, because, description=description)

        return self.database.write(work)

    def tag(
        self, name: str, number: int, tags: Mapping[str, str], because: Because = NOTHING
    ) -> Version:
        """The version with these tags set, beside those it has."""
        new = check_tags(tags)

        def work(tx: Transaction) -> Version:
            version = need_version(self.store, tx, name, number)
            return self._update(tx, version, because, tags={**version.tags, **new})

        return self.database.write(work)

    def untag(self, name: str, number: int, key: str, because: Because = NOTHING) -> Version:
        """The version without a tag; unchanged when it has none of this key."""

        def work(tx: Transaction) -> Version:
            version = need_version(self.store, tx, name, number)
            tags = {tag: value for tag, value in version.tags.items() if tag != key}
            return self._update(tx, version, because, tags=tags)

        return self.database.write(work)

    def judge(self, name: str, number: int, status: Status, because: Because = NOTHING) -> Version:
        """The version as approved, rejected or archived; unchanged when it is so already.

        Errors: ``registry.bad_transition``, ``registry.version_live`` when an alias points at what
        is to be rejected or archived, ``registry.reason_missing`` for a rejection without one.
        """

        def work(tx: Transaction) -> Version:
            version = need_version(self.store, tx, name, number)
            if version.status == status:
                return version
            _check_judgement(version, status, because)
            change = self._change(tx, version, "status", status, because)
            judged = replace(version, status=status, reason=because.why, updated=self.clock.now())
            self.store.save_version(tx, judged, change)
            return judged

        return self.database.write(work)

    def transition(
        self,
        name: str,
        number: int,
        stage: str,
        *,
        archive_existing: bool = False,
        expected: Stage | None = None,
        because: Because = NOTHING,
    ) -> Version:
        """The version in another stage; with ``archive_existing`` alone in it.

        Moved only when it is in the ``expected`` stage, unless that is None (as on MLflow's wire,
        which has no word for it).
        Errors: ``registry.bad_stage``, ``registry.version_not_found``, ``registry.stage_moved``.
        """
        wanted = parse_stage(stage)

        def work(tx: Transaction) -> Version:
            version = need_version(self.store, tx, name, number)
            if expected is not None and version.stage != expected:
                raise Conflict(
                    "registry.stage_moved",
                    f"{version.address} is in the stage {version.stage}, not in {expected} as "
                    "expected.",
                    hint="Read it again and decide anew.",
                    stage=version.stage,
                )
            if archive_existing and wanted in {"Staging", "Production"}:
                for other in self._in_stage(tx, version.name, wanted):
                    if other.number != number:
                        self._stage(tx, other, "Archived", because)
            return self._stage(tx, version, wanted, because)

        return self.database.write(work)

    def delete(
        self, name: str, number: int, *, with_aliases: bool = False, because: Because = NOTHING
    ) -> Version:
        """The version, out of sight; :meth:`restore` brings it back.

        Errors: ``registry.version_live`` while aliases point at it, unless ``with_aliases``.
        """

        def work(tx: Transaction) -> Version:
            model = need_model(self.store, tx, name)
            version = need_version(self.store, tx, name, number)
            if not with_aliases:
                refuse_live(version.address, version.aliases)
            now = self.clock.now()
            drop_aliases(self.store, tx, model, now=now, because=because, number=number)
            gone = replace(version, deleted=now, aliases=())
            self.store.save_version(tx, gone)
            self._announce(tx, events.VERSION_DELETED, gone, because)
            return gone

        return self.database.write(work)

    def restore(self, name: str, number: int, because: Because = NOTHING) -> Version:
        """A deleted version, back again; without its aliases.

        Errors: ``registry.version_not_found`` unless it was deleted.
        """

        def work(tx: Transaction) -> Version:
            _, version = self._deleted(tx, name, number)
            back = replace(version, deleted=None, updated=self.clock.now())
            self.store.save_version(tx, back)
            self._announce(tx, events.VERSION_RESTORED, back, because)
            return back

        return self.database.write(work)

    def purge(self, name: str, number: int, because: Because = NOTHING) -> None:
        """Forgets a deleted version for good: garbage collection may free its bytes.

        Its number is never given again. Errors: ``registry.version_not_found`` unless deleted.
        """

        def work(tx: Transaction) -> None:
            model, version = self._deleted(tx, name, number)
            self.store.erase(tx, model, number)
            self._announce(tx, events.VERSION_PURGED, version, because)

        self.database.write(work)

    # -- inside ---------------------------------------------------------------------------------

    def _rows(self, query: Query) -> list[Version]:
        return self.database.read(lambda reader: self.store.search_versions(reader, query))

    def _add(
        self,
        name: str,
        details: Details,
        because: Because,
        *,
        package: Digest | None = None,
        manifest: Manifest | None = None,
    ) -> Version:
        facts = self.packages.put(write_facts(details.facts)) if details.facts else None
        now = self.clock.now()
        run_id = details.run_id or (manifest.run_id if manifest and manifest.run_id else "")

        def work(tx: Transaction) -> Version:
            model = need_model(self.store, tx, name)
            asked = Version(
                model_id=model.id,
                name=model.name,
                created=now,
                updated=now,
                package=package,
                facts=facts,
                run_id=run_id,
                **_plain(details),
            )
            version, new = self.store.add_version(tx, asked)
            if new:
                self._announce_new(tx, version, manifest, because)
            else:
                _check_same(version, package, details)
            return version

        return self.database.write(work)

    def _announce_new(
        self, tx: Transaction, version: Version, manifest: Manifest | None, because: Because
    ) -> None:
        check_because(because)
        used: list[Ref] = list(manifest.used) if manifest else []
        if version.run_id:
            used.append(ref("run", version.run_id))
        if version.logged_model_id:
            used.append(ref("logged-model", version.logged_model_id))
        made = [version.ref]
        if version.package:
            made.append(ref("package", version.package))
        facts = {
            "package": version.package,
            "facts": version.facts,
            "source": version.source,
            "tags": version.tags,
            "why": because.why,
            "evidence": because.evidence,
        }
        tx.announce(
            Fact(
                kind=events.VERSION_REGISTERED,
                subject=version.ref,
                facts={key: value for key, value in facts.items() if value},
                used=tuple(dict.fromkeys(used)),
                generated=tuple(made),
                actor=because.actor,
            )
        )

    def _update(
        self, tx: Transaction, version: Version, because: Because, **changed: Any
    ) -> Version:
        if all(getattr(version, field) == value for field, value in changed.items()):
            return version
        updated = replace(version, **changed, updated=self.clock.now())
        self.store.save_version(tx, updated)
        self._announce(tx, events.VERSION_UPDATED, updated, because, facts=changed)
        return updated

    def _stage(self, tx: Transaction, version: Version, stage: Stage, because: Because) -> Version:
        if version.stage == stage:
            return version
        change = self._change(tx, version, "stage", stage, because)
        staged = replace(version, stage=stage, updated=self.clock.now())
        self.store.save_version(tx, staged, change)
        return staged

    def _change(
        self, tx: Transaction, version: Version, field: Any, after: str, because: Because
    ) -> Change:
        kind = events.VERSION_JUDGED if field == "status" else events.VERSION_STAGED
        before = getattr(version, field)
        told = {"before": before, "after": after, "evidence": because.evidence}
        return Change(
            field=field,
            before=before,
            after=after,
            time=self.clock.now(),
            actor=actor_name(tx, because),
            why=because.why,
            evidence=because.evidence,
            sequence=self._announce(tx, kind, version, because, facts=told),
        )

    def _announce(
        self,
        tx: Transaction,
        kind: EventKind,
        version: Version,
        because: Because,
        *,
        facts: dict[str, Any] | None = None,
    ) -> int:
        check_because(because)
        told = {**(facts or {}), **({"why": because.why} if because.why else {})}
        return tx.announce(
            Fact(
                kind=kind,
                subject=version.ref,
                facts=told,
                used=(version.ref,),
                actor=because.actor,
            )
        )

    def _in_stage(self, tx: Transaction, name: str, stage: Stage) -> list[Version]:
        clauses = (Clause("name", "=", name), Clause("stage", "=", stage))
        return self.store.search_versions(tx, Query(clauses=clauses, limit=10_000))

    def _deleted(self, tx: Transaction, name: str, number: int) -> tuple[Model, Version]:
        model = need_model(self.store, tx, name)
        version = self.store.find_version(tx, model, number, deleted=True)
        if version is None:
            raise NotFound(
                "registry.version_not_found",
                f"No version {number} of {name!r} was deleted.",
                hint="Only a deleted version can be restored or purged.",
                name=name,
                version=number,
            )
        return model, version


def _plain(details: Details) -> dict[str, Any]:
    """The details that a version row has under the same name."""
    names = (
        "description", "tags", "key", "run_link", "source", "logged_model_id", "created_by",
        "readiness",
    )  # fmt: skip
    return {name: getattr(details, name) for name in names}


def _check_judgement(version: Version, status: Status, because: Because) -> None:
    if status not in NEXT_STATUS[version.status]:
        raise Conflict(
            "registry.bad_transition",
            f"{version.address} is {version.status} and cannot become {status}.",
            hint="Register a new version instead.",
            status=version.status,
            wanted=status,
        )
    if status in {"rejected", "archived"}:
        refuse_live(version.address, version.aliases)
    if status == "rejected" and not because.why:
        raise Conflict(
            "registry.reason_missing",
            f"{version.address} cannot be rejected without a reason.",
            hint="Say why: the reason is part of the record.",
        )


def _check_same(version: Version, package: Digest | None, details: Details) -> None:
    if version.deleted is not None:
        raise version_not_found(version.name, version.number)
    if version.package != package or (package is None and version.source != details.source):
        raise Conflict(
            "registry.key_reused",
            f"The key {details.key!r} was used for {version.address}, which is another package.",
            hint="Use a new key for a new package.",
            version=version.number,
        )


def _key(version: Version, field: str) -> str | int:
    if field == "created":
        return to_micros(version.created)
    if field == "updated":
        return to_micros(version.updated)
    found: str | int = getattr(version, field)
    return found
