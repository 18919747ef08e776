"""The model card: one document per version, made of what is on record and nothing else.

Source: Mitchell et al., Model Cards for Model Reporting, FAT* 2019, section 4 (the headings);
Regulation (EU) 2024/1689, Annex IV (what technical documentation names). A heading that only a
person can fill and nobody has is listed under ``open``, so a gap is seen and not papered over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from mainspring.core.digest import Digest
from mainspring.core.events import Ref
from mainspring.core.time import to_iso
from mainspring.registry.facts import DataUsed, Facts, Measured, Purpose, Value, Verdict
from mainspring.registry.manifest import Decision, Manifest
from mainspring.registry.plan import Plan
from mainspring.registry.types import Change, Status, Version

SignatureState = Literal["valid", "invalid", "not signed", "unchecked"]

_ASKED: Final = ("objective", "questions", "target")


class CardModel(msgspec.Struct, frozen=True, kw_only=True):
    """Which version this is, and how it stands."""

    address: str
    registered_as: str
    registered: str
    status: Status
    reason: str
    description: str
    tags: dict[str, str]
    aliases: tuple[str, ...]
    package: Digest


class CardTraining(msgspec.Struct, frozen=True, kw_only=True):
    """How it was made."""

    task: str
    learner: str
    runtime: str
    parameters: dict[str, Value]
    seed: int
    trained_until: str | None
    run_id: str | None
    feature_digest: str
    calibration: str | None
    code: dict[str, str]


class CardInput(msgspec.Struct, frozen=True, kw_only=True):
    """One input: its name, type and, for a category, how many values it knows."""

    name: str
    type: str
    categories: int


class CardChange(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement in the version's life."""

    field: str
    before: str
    after: str
    time: str
    actor: str
    why: str


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A version's card; every number in it is a recorded one."""

    format: Literal["mainspring-card/1"] = "mainspring-card/1"
    model: CardModel
    purpose: Purpose
    inputs: tuple[CardInput, ...]
    output: str
    data: tuple[DataUsed, ...]
    training: CardTraining
    metrics: tuple[Measured, ...]
    slices: tuple[Measured, ...]
    decision: Decision | None
    plan: Plan | None
    gates: tuple[Verdict, ...]
    limits: tuple[str, ...]
    lineage: tuple[Ref, ...]
    signature: SignatureState
    environment: dict[str, str]
    history: tuple[CardChange, ...]
    open: tuple[str, ...]


def make_card(
    version: Version,
    manifest: Manifest,
    facts: Facts,
    *,
    signature: SignatureState,
    changes: Sequence[Change] = (),
) -> Card:
    """The card of a version as it stands; the same record gives the same card."""
    metrics = facts.metrics or tuple(
        Measured(metric=name, value=value) for name, value in sorted(manifest.metrics.items())
    )
    return Card(
        model=_model(version, manifest),
        purpose=facts.purpose,
        inputs=tuple(
            CardInput(name=one.name, type=one.type, categories=len(one.categories))
            for one in manifest.signature.inputs
        ),
        output=manifest.signature.output,
        data=facts.data,
        training=_training(manifest, facts),
        metrics=tuple(one for one in metrics if not one.group),
        slices=tuple(one for one in metrics if one.group),
        decision=manifest.decision,
        plan=manifest.plan,
        gates=facts.gates,
        limits=facts.limits,
        lineage=tuple(dict.fromkeys((*manifest.used, *(one.ref for one in facts.data)))),
        signature=signature,
        environment=dict(sorted(manifest.environment.items())),
        history=tuple(_change(change) for change in changes),
        open=_open(facts, metrics),
    )


def _model(version: Version, manifest: Manifest) -> CardModel:
    return CardModel(
        address=version.address,
        registered_as=version.registered_as,
        registered=to_iso(version.created),
        status=version.status,
        reason=version.reason,
        description=version.description,
        tags=version.tags,
        aliases=version.aliases,
        package=version.package or manifest.digest,
    )


def _training(manifest: Manifest, facts: Facts) -> CardTraining:
    calibration: Any = manifest.calibration or {}
    return CardTraining(
        task=manifest.task,
        learner=facts.learner,
        runtime=manifest.runtime,
        parameters=dict(sorted(facts.parameters.items())),
        seed=manifest.seed,
        trained_until=manifest.trained_until,
        run_id=manifest.run_id,
        feature_digest=manifest.feature_digest,
        calibration=next(
            (str(calibration[key]) for key in ("kind", "method", "type") if key in calibration),
            "yes" if calibration else None,
        ),
        code=dict(sorted(facts.code.items())),
    )


def _change(change: Change) -> CardChange:
    return CardChange(
        field=change.field,
        before=change.before,
        after=change.after,
        time=to_iso(change.time),
        actor=change.actor,
        why=change.why,
    )


def _open(facts: Facts, metrics: Sequence[Measured]) -> tuple[str, ...]:
    """The headings that nobody has filled."""
    missing = [f"purpose.{field}" for field in _ASKED if not getattr(facts.purpose, field)]
    missing += [] if facts.data else ["data"]
    missing += [] if metrics else ["metrics"]
    missing += [] if facts.limits else ["limits"]
    return tuple(missing)
