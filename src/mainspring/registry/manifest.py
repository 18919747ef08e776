"""A model package: the manifest that says what it is, and the files it names by digest.

Everything a prediction needs stands in the manifest or in a named file: inputs in order with
their categories, the runtime and its files, the calibration, the decision. A package is immutable
and addressed by the digest of its manifest.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.core.digest import Digest, digest_of
from mainspring.core.events import Ref
from mainspring.core.schema import Signature


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
    inputs and scores that drift is measured against.
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
