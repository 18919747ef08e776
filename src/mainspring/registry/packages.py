"""Use cases on packages: store, open with every byte checked, verify, sign, card, compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec.structs import replace

from mainspring.core.digest import Digest, canonical_json, sha256
from mainspring.core.errors import Broken, Invalid, MainspringError, NotFound, Unavailable
from mainspring.core.events import Fact, ref
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.ports.objects import Objects
from mainspring.registry import events
from mainspring.registry.card import Card, SignatureState, make_card
from mainspring.registry.diff import Difference, diff
from mainspring.registry.facts import Facts, read_facts
from mainspring.registry.lookup import NOTHING, check_because, need_version, page
from mainspring.registry.manifest import Manifest, check_manifest, read_manifest
from mainspring.registry.ports import RegistryStore, Signing
from mainspring.registry.query import Order, Query
from mainspring.registry.types import Because, Version


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a stored package: which file, and what."""

    path: str
    what: Literal["missing", "changed", "extra", "unsigned", "untrusted", "unreadable"]
    detail: str = ""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of every stored byte of a version found."""

    address: str
    package: Digest
    signature: SignatureState
    faults: tuple[Fault, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.faults


class PackageFiles(Mapping[str, bytes]):
    """The files of a package by path; each is checked against its digest when it is read."""

    def __init__(self, objects: Objects, digests: Mapping[str, Digest]) -> None:
        self._objects = objects
        self._digests = digests

    def __getitem__(self, path: str) -> bytes:
        data = self._objects.get(self._digests[path])
        if sha256(data) != self._digests[path]:
            raise _corrupt(path)
        return data

    def __iter__(self) -> Iterator[str]:
        return iter(self._digests)

    def __len__(self) -> int:
        return len(self._digests)


@dataclass(frozen=True, slots=True)
class Package:
    """A version's manifest, its files, and what was recorded when it was made."""

    version: Version
    manifest: Manifest
    files: Mapping[str, bytes]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Packages:
    """Immutable packages by content. ``require_signature`` refuses to open an unsigned one."""

    database: Database
    store: RegistryStore
    clock: Clock
    objects: Objects
    signing: Signing | None = None
    require_signature: bool = False

    def put(self, data: bytes) -> Digest:
        """The address of some bytes, stored durably."""
        return self.objects.put(data)

    def store_package(self, manifest: Manifest, files: Mapping[str, bytes]) -> Digest:
        """The address of a package whose manifest and files are stored.

        Files that are stored already need not be given.
        Errors: ``registry.bad_manifest``, ``registry.bad_path``, ``registry.package_mismatch``.
        """
        data = check_manifest(manifest)
        for path in files.keys() - manifest.files.keys():
            raise _mismatch(path, "is not in the manifest")
        for path, digest in manifest.files.items():
            if path in files and sha256(files[path]) != digest:
                raise _mismatch(path, "does not have the digest that the manifest gives it")
            if path not in files and not self.objects.claim(digest):
                raise _mismatch(path, "is in the manifest, but was not given and is not stored")
        for path in manifest.files.keys() & files.keys():
            self.objects.put(files[path])
        return self.objects.put(data)

    def open(self, name: str, number: int) -> Package:
        """A version's package, refused when it is not what was registered.

        The manifest, the recorded facts and (when signing is on) the signature are checked now,
        each file when it is read. Errors: ``registry.no_package``, ``registry.tampered``,
        ``registry.not_signed``, ``objects.not_found``, ``objects.corrupt``.
        """
        version = self._version(name, number)
        manifest = self._manifest(version)
        self._check_signature(version, manifest)
        return Package(
            version=version,
            manifest=manifest,
            files=PackageFiles(self.objects, manifest.files),
            facts=self._facts(version),
        )

    def sign(self, name: str, number: int, because: Because = NOTHING) -> Version:
        """The version with a signature over its package, its number and its facts.

        Errors: ``registry.signing_off``, ``registry.no_package``.
        """
        if self.signing is None:
            raise Unavailable(
                "registry.signing_off",
                "This workspace has no signing key.",
                hint="Install the extra 'sign' (pip install 'mainspring[sign]').",
            )
        check_because(because)
        version = self._version(name, number)
        resources = self.resources(version, self._manifest(version))
        bundle = self.signing.sign(version.registered_as, resources)
        signature, key_id = self.objects.put(bundle), self.signing.key_id

        def work(tx: Transaction) -> Version:
            signed = replace(
                need_version(self.store, tx, name, number),
                signature=signature,
                updated=self.clock.now(),
            )
            self.store.save_version(tx, signed)
            fact = Fact(
                kind=events.VERSION_SIGNED,
                subject=signed.ref,
                facts={"signature": signature, "key": key_id, "why": because.why},
                used=(signed.ref,),
                generated=(ref("signature", signature),),
                actor=because.actor,
            )
            tx.announce(fact)
            return signed

        return self.database.write(work)

    def verify(self, name: str, number: int) -> Verification:
        """Every stored byte of a version checked again; what is wrong is named, not raised.

        Errors: ``registry.version_not_found``, ``registry.no_package``.
        """
        version = self._version(name, number)
        package = _need_package(version)
        try:
            manifest = self._manifest(version)
        except MainspringError as error:
            fault = Fault("manifest.json", _what(error), error.message)
            return Verification(
                address=version.address, package=package, signature="unchecked", faults=(fault,)
            )
        checked = [self._file_fault(*one) for one in self._stored(version, manifest).items()]
        faults = [fault for fault in checked if fault is not None]
        state, found = self.signature_state(version, manifest)
        return Verification(
            address=version.address,
            package=package,
            signature=state,
            faults=(*faults, *found),
        )

    def card(self, name: str, number: int) -> Card:
        """A version's card, made from what is on record and nothing else."""
        package = self.open(name, number)
        version = package.version
        state, _ = self.signature_state(version, package.manifest)
        changes = self.database.read(lambda reader: self.store.changes(reader, version))
        return make_card(version, package.manifest, package.facts, signature=state, changes=changes)

    def diff(self, name: str, number: int, other: int) -> list[Difference]:
        """What differs from one version of a model to another."""
        before, after = self.open(name, number), self.open(name, other)
        return diff((before.manifest, before.facts), (after.manifest, after.facts))

    def digests(self) -> Iterator[Digest]:
        """Every object that a version needs, deleted ones too: garbage collection keeps these.

        Errors: what reading a manifest raises. Its files are then unknown, so nothing may be freed.
        """
        for deleted in (False, True):
            for version in self._every(deleted=deleted):
                yield from (one for one in (version.facts, version.signature) if one is not None)
                if version.package is not None:
                    yield version.package
                    yield from self._manifest(version).files.values()

    def signature_state(
        self, version: Version, manifest: Manifest
    ) -> tuple[SignatureState, list[Fault]]:
        """How a version stands with its signature, and what is wrong with it."""
        if version.signature is None:
            missing = [Fault("model.sig", "unsigned")] if self.require_signature else []
            return "not signed", missing
        if self.signing is None:
            return "unchecked", []
        try:
            signed = self.signing.check(self.objects.get(version.signature))
        except MainspringError as error:
            return "invalid", [Fault("model.sig", _what(error), error.message)]
        faults = _compare(self.resources(version, manifest), signed.resources)
        if signed.subject != version.registered_as:
            faults.append(
                Fault("version.json", "changed", f"the signature is for {signed.subject}")
            )
        return ("invalid" if faults else "valid"), faults

    def resources(self, version: Version, manifest: Manifest) -> dict[str, Digest]:
        """Every file of the version's folder as it is signed and exported, with its digest."""
        return {
            **self._stored(version, manifest),
            "version.json": sha256(version_document(version)),
        }

    # -- inside ---------------------------------------------------------------------------------

    def _every(self, *, deleted: bool) -> Iterator[Version]:
        query = Query(order=(Order("name"), Order("number")), limit=500, deleted=deleted)
        while True:
            rows = self._rows(query)
            found = page(query, rows, lambda version: (version.name, version.number))
            yield from found.items
            if found.next_token is None:
                return
            query = replace(query, token=found.next_token)

    def _rows(self, query: Query) -> list[Version]:
        return self.database.read(lambda reader: self.store.search_versions(reader, query))

    def _version(self, name: str, number: int) -> Version:
        return self.database.read(lambda reader: need_version(self.store, reader, name, number))

    def _manifest(self, version: Version) -> Manifest:
        package = _need_package(version)
        data = self.objects.get(package)
        if sha256(data) != package:
            raise _corrupt("manifest.json")
        return read_manifest(data)

    def _facts(self, version: Version) -> Facts:
        if version.facts is None:
            return Facts()
        data = self.objects.get(version.facts)
        if sha256(data) != version.facts:
            raise _corrupt("facts.json")
        return read_facts(data)

    def _stored(self, version: Version, manifest: Manifest) -> dict[str, Digest]:
        stored = {f"files/{path}": digest for path, digest in manifest.files.items()}
        stored["manifest.json"] = _need_package(version)
        if version.facts is not None:
            stored["facts.json"] = version.facts
        return stored

    def _check_signature(self, version: Version, manifest: Manifest) -> None:
        if not version.registered_as.endswith(f"/{version.number}"):
            raise _tampered(version, [Fault("version.json", "changed", "its number differs")])
        if self.require_signature and version.signature is None:
            raise Broken(
                "registry.not_signed",
                f"{version.address} is not signed, and this workspace uses signed versions only.",
                hint=f"Sign it: mainspring models package {version.address} --sign.",
                address=version.address,
            )
        _, faults = self.signature_state(version, manifest)
        if faults:
            raise _tampered(version, faults)

    def _file_fault(self, path: str, digest: Digest) -> Fault | None:
        if not self.objects.exists(digest):
            return Fault(path, "missing", digest)
        return None if self.objects.verify(digest) else Fault(path, "changed", digest)


def version_document(version: Version) -> bytes:
    """The file that ties a package to its name and number inside what is signed."""
    name, _, number = version.registered_as.rpartition("/")
    return canonical_json(
        {
            "format": "mainspring-version/1",
            "model": name,
            "version": int(number),
            "package": version.package,
        }
    )


def _need_package(version: Version) -> Digest:
    if version.package is None:
        raise NotFound(
            "registry.no_package",
            f"{version.address} was registered by its source alone and has no package.",
            hint="Load it with an MLflow client, or register it again as a package.",
            address=version.address,
        )
    return version.package


def _compare(here: Mapping[str, Digest], signed: Mapping[str, Digest]) -> list[Fault]:
    faults = [Fault(path, "extra") for path in sorted(here.keys() - signed.keys())]
    faults += [Fault(path, "missing") for path in sorted(signed.keys() - here.keys())]
    both = sorted(here.keys() & signed.keys())
    return faults + [Fault(path, "changed") for path in both if here[path] != signed[path]]


def _what(error: MainspringError) -> Literal["missing", "changed", "untrusted", "unreadable"]:
    if error.code == "objects.not_found":
        return "missing"
    if error.code == "registry.signature_untrusted":
        return "untrusted"
    corrupt = error.code in {"objects.corrupt", "registry.tampered", "registry.signature_invalid"}
    return "changed" if corrupt else "unreadable"


def _mismatch(path: str, why: str) -> Invalid:
    return Invalid(
        "registry.package_mismatch",
        f"{path!r} {why}.",
        hint="Build the manifest from the very bytes that are registered.",
        path=path,
    )


def _corrupt(path: str) -> Broken:
    return Broken(
        "registry.tampered",
        f"The stored bytes of {path!r} are not those that were registered.",
        hint="Restore the object from a backup, or use another version.",
        path=path,
    )


def _tampered(version: Version, faults: list[Fault]) -> Broken:
    first = faults[0]
    return Broken(
        "registry.tampered",
        f"{version.address} is not what was signed: {first.path} ({first.what})"
        f"{f', {first.detail}' if first.detail else ''}.",
        hint=f"See 'mainspring models verify {version.address}'.",
        address=version.address,
        paths=[fault.path for fault in faults],
    )
