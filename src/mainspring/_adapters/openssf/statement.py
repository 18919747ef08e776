"""The documents of a model signature: an in-toto statement, in a DSSE envelope, in a bundle.

Source: OpenSSF Model Signing specification v1.0 (predicate ``model_signing/signature/v1.0``);
in-toto Attestation Framework v1, Statement; DSSE v1.0, protocol.md (the pre-authentication
encoding); Sigstore bundle v0.3. Written and read here because the official package needs fifty
megabytes; that it reads ours and we read its is tested.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, field

from mainspring.core.digest import Digest, canonical_json
from mainspring.core.errors import Broken

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
MAX_BUNDLE_BYTES: Final = 4_000_000


class _Resource(msgspec.Struct, frozen=True):
    name: str
    algorithm: Literal["sha256"]
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]


class _Serialization(msgspec.Struct, frozen=True):
    method: Literal["files"]
    hash_type: Literal["sha256"]
    allow_symlinks: Literal[False]
    ignore_paths: tuple[str, ...] = ()


class _Predicate(msgspec.Struct, frozen=True):
    serialization: _Serialization
    resources: tuple[_Resource, ...]


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: dict[Literal["sha256"], str]


class Statement(msgspec.Struct, frozen=True):
    """What is signed: one subject, and every file below it."""

    subject: Annotated[tuple[_Subject, ...], Meta(min_length=1, max_length=1)]
    predicate: _Predicate
    type: Literal["https://in-toto.io/Statement/v1"] = field(name="_type")
    predicate_type: Literal["https://model_signing/signature/v1.0"] = field(name="predicateType")

    @property
    def resources(self) -> dict[str, Digest]:
        return {one.name: Digest(f"sha256:{one.digest}") for one in self.predicate.resources}


class _Signature(msgspec.Struct, frozen=True):
    sig: str
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: Annotated[tuple[_Signature, ...], Meta(min_length=1, max_length=1)]


class _PublicKey(msgspec.Struct, frozen=True):
    hint: str


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    public_key: _PublicKey


class _Bundle(msgspec.Struct, frozen=True, rename="camel"):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: _Material
    dsse_envelope: _Envelope


class Envelope(msgspec.Struct, frozen=True):
    """The parts of a bundle that a verifier needs: signed bytes, signature, claimed key."""

    payload: bytes
    signature: bytes
    key_hint: str


def write_statement(subject: str, resources: Mapping[str, Digest]) -> bytes:
    """The statement over some files, in the order of their names."""
    listed = [
        {"name": name, "algorithm": "sha256", "digest": resources[name].removeprefix("sha256:")}
        for name in sorted(resources)
    ]
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": subject, "digest": {"sha256": _root(listed)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": [],
                },
                "resources": listed,
            },
        }
    )


def read_statement(payload: bytes) -> Statement:
    """A statement whose digest over all files is right and whose file names are unique.

    Errors: ``registry.signature_unreadable``.
    """
    statement: Statement = _decode(payload, Statement)
    resources = statement.predicate.resources
    names = {one.name for one in resources}
    listed = [{"digest": one.digest} for one in resources]
    if statement.subject[0].digest.get("sha256") != _root(listed) or len(names) < len(resources):
        raise _unreadable("its digests do not add up")
    return statement


def pre_authentication(payload: bytes) -> bytes:
    """The bytes a DSSE signature is made over."""
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def write_bundle(payload: bytes, signature: bytes, key_hint: str) -> bytes:
    """A signature as one JSON document."""
    return canonical_json(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key_hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
            },
        }
    )


def read_bundle(data: bytes) -> Envelope:
    """The parts of a signature document. Errors: ``registry.signature_unreadable``."""
    if len(data) > MAX_BUNDLE_BYTES:
        raise _unreadable(f"it has {len(data)} bytes")
    bundle: _Bundle = _decode(data, _Bundle)
    try:
        payload = base64.b64decode(bundle.dsse_envelope.payload, validate=True)
        signature = base64.b64decode(bundle.dsse_envelope.signatures[0].sig, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable(str(error)) from error
    return Envelope(payload, signature, bundle.verification_material.public_key.hint)


def _root(resources: list[dict[str, str]]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in resources)).hexdigest()


def _decode(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _unreadable(str(error)) from error


def _unreadable(why: str) -> Broken:
    return Broken(
        "registry.signature_unreadable",
        f"The signature is not an OpenSSF model signature: {why}.",
        hint="Sign the version again.",
    )
