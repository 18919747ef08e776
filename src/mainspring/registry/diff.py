"""What differs between two versions, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mainspring.registry.facts import Facts
from mainspring.registry.manifest import Manifest

Made = tuple[Manifest, Facts]


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not the same; None stands for not there."""

    section: str
    key: str
    before: Any
    after: Any


def diff(before: Made, after: Made) -> list[Difference]:
    """Every difference in parameters, metrics, data, inputs, decision, files and environment.

    Metrics differ where the number does; whether that means anything is for a paired test.
    """
    old, new = _sections(*before), _sections(*after)
    return [
        Difference(section, key, old[section].get(key), new[section].get(key))
        for section in old
        for key in sorted(old[section].keys() | new[section].keys())
        if old[section].get(key) != new[section].get(key)
    ]


def _sections(manifest: Manifest, facts: Facts) -> dict[str, Mapping[str, Any]]:
    metrics: dict[str, Any] = dict(manifest.metrics)
    for one in facts.metrics:
        where = " ".join(part for part in (one.reference, one.split, one.group) if part)
        metrics[f"{one.metric} ({where})"] = one.value
    data = {str(ref): "used" for ref in manifest.used}
    data |= {str(used.ref): used.role for used in facts.data}
    inputs = {one.name: msgspec.to_builtins(one) for one in manifest.signature.inputs}
    training = {
        "learner": facts.learner,
        "runtime": manifest.runtime,
        "task": manifest.task,
        "seed": manifest.seed,
        "trained_until": manifest.trained_until,
        "features": manifest.feature_digest,
    }
    return {
        "training": training,
        "parameters": facts.parameters,
        "metrics": metrics,
        "data": data,
        "inputs": inputs,
        "decision": msgspec.to_builtins(manifest.decision) if manifest.decision else {},
        "gates": {one.gate: one.passed for one in facts.gates},
        "code": facts.code,
        "environment": manifest.environment,
        "files": manifest.files,
    }
