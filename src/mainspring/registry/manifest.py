"""A model package: the manifest that says what it is, and the files it names by digest.

Everything a prediction needs stands in the manifest or in a named file: inputs in order with
their categories, the runtime and its files, the calibration, the decision. A package is immutable
and addressed by the digest of its manifest.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from mainspring.core.digest import Digest, canonical_json, digest_of
from mainspring.core.errors import Invalid
from mainspring.core.events import Ref
from mainspring.core.schema import Signature
from mainspring.registry.names import check_package_paths
from mainspring.registry.plan import Plan

MAX_MANIFEST_BYTES: Final = 16_000_000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class Decision(msgspec.Struct, frozen=True):
    """Acting on a score: say yes at or above the threshold, and what each outcome costs."""

    threshold: float
    false_negative: float = 1.0
    false_positive: float = 1.0
    true_positive: float = 0.0
    true_negative: float = 0.0
    unit: str = "cost units"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model version is. ``files`` maps a path inside the package to its digest.

    ``runtime`` is ``lightgbm``, ``linear``, ``constant``, ``onnx`` or another registered runtime.
    ``calibration`` is the JSON form of a calibration (:mod:`mainspring.training.calibration`),
    applied to the runtime's raw output. ``golden`` names a file of sample rows with their answers,
    replayed before a version takes traffic. ``reference`` names a file with the profile of
    inputs and scores that drift is measured against. ``plan`` is how it is executed, with the
    evidence; None for one that was registered as it is.
    """

    format: Literal["mainspring-model/1"] = "mainspring-model/1"
    name: str
    task: Literal["binary", "regression"]
    runtime: str
    signature: Signature
    files: dict[str, Digest]
    calibration: dict[str, Any] | None = None
    decision: Decision | None = None
    golden: str | None = None
    reference: str | None = None
    plan: Plan | None = None
    feature_digest: str = ""
    used: tuple[Ref, ...] = ()
    run_id: str | None = None
    trained_until: str | None = None
    seed: int = 0
    metrics: dict[str, float] = {}
    environment: dict[str, str] = {}

    @property
    def digest(self) -> Digest:
        return digest_of(self)


def check_manifest(manifest: Manifest) -> bytes:
    """The manifest's stored form, once it can be read back as the same and names safe files.

    Errors: ``registry.bad_manifest``, ``registry.bad_path``.
    """
    check_package_paths(manifest.files)
    try:
        data = canonical_json(manifest)
        same = msgspec.json.decode(data, type=Manifest) == manifest
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise _bad(str(error)) from error
    if not same:
        raise _bad("it holds a value that JSON cannot carry, such as NaN or a tuple in a document")
    for path, digest in manifest.files.items():
        if not _DIGEST.match(digest):
            raise _bad(f"the digest of {path!r} is not 'sha256:' and 64 hexadecimal digits")
    for named in (manifest.golden, manifest.reference):
        if named is not None and named not in manifest.files:
            raise _bad(f"it names {named!r}, which is not among its files")
    if len(data) > MAX_MANIFEST_BYTES:
        raise _bad(f"it has {len(data)} bytes, the limit is {MAX_MANIFEST_BYTES}")
    return data


def read_manifest(data: bytes) -> Manifest:
    """A manifest from its stored form, checked like one that is to be stored.

    Errors: ``registry.bad_manifest``, ``registry.bad_path``.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise _bad(f"it has {len(data)} bytes, the limit is {MAX_MANIFEST_BYTES}")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _bad(str(error)) from error
    check_manifest(manifest)
    return manifest


def _bad(why: str) -> Invalid:
    return Invalid(
        "registry.bad_manifest",
        f"This manifest cannot be used: {why}.",
        hint="Write it with mainspring.registry.Manifest, from plain Python values.",
    )
