"""Use cases on portable files: write a version to one, and register what one holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from mainspring.core.digest import Digest, canonical_json, digest_of, sha256
from mainspring.core.errors import Broken, Invalid, MainspringError
from mainspring.core.events import Fact
from mainspring.registry import events
from mainspring.registry.archive import (
    CHUNK_BYTES,
    FILES,
    FOLDER,
    Archive,
    open_archive,
    write_archive,
)
from mainspring.registry.details import Details
from mainspring.registry.facts import read_facts
from mainspring.registry.lookup import NOTHING, check_because
from mainspring.registry.manifest import Manifest, read_manifest
from mainspring.registry.markdown import card_markdown
from mainspring.registry.models import Models
from mainspring.registry.packages import Packages, version_document
from mainspring.registry.types import Because, Version
from mainspring.registry.versions import Versions


class _Document(msgspec.Struct, frozen=True):
    """``version.json``: which version of which model the archive was."""

    format: str
    model: str
    version: int
    package: Digest


@dataclass(frozen=True, slots=True)
class Transfers:
    """Versions out of and into a registry, as single files."""

    models: Models
    versions: Versions
    packages: Packages

    def export(
        self, name: str, number: int, target: BinaryIO, because: Because = NOTHING
    ) -> Version:
        """Writes a version, its card and its signature to a seekable file.

        The same version in the same state gives the same bytes. Every byte is checked on its way.
        Errors: ``registry.no_package``, ``registry.tampered``, ``registry.archive_too_large``.
        """
        check_because(because)
        package = self.packages.open(name, number)
        version, card = package.version, self.packages.card(name, number)
        entries: dict[str, Any] = {
            "card.json": msgspec.json.format(canonical_json(card)),
            "card.md": card_markdown(card).encode(),
            FOLDER + "version.json": version_document(version),
        }
        if version.signature is not None:
            entries["model.sig"] = self.packages.objects.get(version.signature)
        for path, digest in self.packages.resources(version, package.manifest).items():
            if path != "version.json":
                entries[FOLDER + path] = self._checked(path, digest)
        write_archive(target, entries)
        fact = Fact(
            kind=events.VERSION_EXPORTED,
            subject=version.ref,
            facts={"package": version.package, "why": because.why},
            used=(version.ref,),
            actor=because.actor,
        )
        self.versions.database.write(lambda tx: tx.announce(fact))
        return version

    def load(
        self, source: BinaryIO, *, name: str | None = None, because: Because = NOTHING
    ) -> Version:
        """The version registered from an archive, under its own model's name or another.

        Everything is checked before a row is written; the same archive again is the same version.
        An archive whose signature is wrong is refused; one without a signature, or by a key that is
        not trusted, is accepted unless signatures are required. Which it was stands in the record.
        Errors: ``registry.bad_archive``, ``registry.bad_path``, ``registry.bad_manifest``,
        ``registry.tampered``, ``registry.not_signed``.
        """
        with open_archive(source) as archive:
            document, manifest = self._identity(archive)
            facts = archive.document("model/facts.json")
            self._store_files(archive, manifest)
            signature = self._check_signature(archive, document, manifest, facts)
        details = Details(
            facts=read_facts(facts) if facts is not None else None,
            tags={"imported_from": f"{document.model}/{document.version}"},
            key="import:" + digest_of([document, sha256(facts or b"")]),
        )
        because = msgspec.structs.replace(
            because, evidence={**because.evidence, "signature": signature}
        )
        model = self.models.register(name or document.model, exists_ok=True, because=because)
        return self.versions.create(model.name, manifest, {}, details=details, because=because)

    # -- inside ---------------------------------------------------------------------------------

    def _checked(self, path: str, digest: Digest) -> Iterator[bytes]:
        seen = hashlib.sha256()
        with self.packages.objects.open(digest) as file:
            while chunk := file.read(CHUNK_BYTES):
                seen.update(chunk)
                yield chunk
        if "sha256:" + seen.hexdigest() != digest:
            raise _tampered(path)

    def _identity(self, archive: Archive) -> tuple[_Document, Manifest]:
        text = archive.document("model/version.json") or b""
        data = archive.document("model/manifest.json") or b""
        try:
            document = msgspec.json.decode(text, type=_Document)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Invalid(
                "registry.bad_archive",
                f"The archive does not say which version it is ({error}).",
                hint="Make it again with 'mainspring models package'.",
            ) from error
        if document.format != "mainspring-version/1" or sha256(data) != document.package:
            raise _tampered("model/manifest.json")
        return document, read_manifest(data)

    def _store_files(self, archive: Archive, manifest: Manifest) -> None:
        odd = sorted(set(archive.paths) ^ set(manifest.files))
        if odd:
            raise _tampered(FILES + odd[0])
        for path, digest in manifest.files.items():
            if self.packages.objects.put(archive.chunks(path)) != digest:
                raise _tampered(FILES + path)

    def _check_signature(
        self, archive: Archive, document: _Document, manifest: Manifest, facts: bytes | None
    ) -> str:
        signature, signing = archive.document("model.sig"), self.packages.signing
        if signature is None or signing is None:
            self._refuse_if_required("has no signature that can be checked")
            return "not signed" if signature is None else "unchecked"
        try:
            signed = signing.check(signature)
        except MainspringError as error:
            if error.code != "registry.signature_untrusted":
                raise
            self._refuse_if_required("was signed by a key that is not trusted")
            return "untrusted"
        expected = {f"files/{path}": digest for path, digest in manifest.files.items()}
        expected["manifest.json"] = document.package
        expected["version.json"] = sha256(archive.document("model/version.json") or b"")
        if facts is not None:
            expected["facts.json"] = sha256(facts)
        odd = sorted(dict(expected.items() ^ signed.resources.items()))
        if odd or signed.subject != f"{document.model}/{document.version}":
            raise _tampered(odd[0] if odd else "model.sig")
        return f"valid, by {signed.key_id}"

    def _refuse_if_required(self, why: str) -> None:
        if self.packages.require_signature:
            raise Broken(
                "registry.not_signed",
                f"The archive {why}, and this workspace uses signed versions only.",
                hint="Ask for an archive signed by a key you trust.",
            )


def _tampered(path: str) -> Broken:
    return Broken(
        "registry.tampered",
        f"The bytes of {path!r} are not those that were registered.",
        hint="Get the archive or the stored object again from its origin.",
        path=path,
    )
