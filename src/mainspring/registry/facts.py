"""What was recorded when a version was made: the ground of its card and of every comparison.

Stored beside the package under its own digest, so the card can be made again at any time and
gives the same numbers.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.errors import Invalid
from mainspring.core.events import Ref

Value = float | int | str | bool | None


class Purpose(msgspec.Struct, frozen=True, kw_only=True):
    """Why the model exists, in the words of the problem definition."""

    objective: str = ""
    questions: tuple[str, ...] = ()
    target: str = ""
    predict_before: str = ""
    kpi: str = ""
    out_of_scope: tuple[str, ...] = ()


class DataUsed(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset version and the part it played."""

    ref: Ref
    role: str = "training"
    rows: int | None = None
    since: str = ""
    until: str = ""
    licence: str = ""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A metric with its interval. ``group`` names the slice as ``column=value``; empty for all rows.

    ``reference`` is another predictor's number on the same rows (a baseline), when there is one.
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    rows: int | None = None
    split: str = "test"
    group: str = ""
    reference: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate said, and on which number."""

    gate: str
    passed: bool
    why: str = ""
    value: float | None = None
    required: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The record of how a version came to be."""

    format: Literal["mainspring-facts/1"] = "mainspring-facts/1"
    purpose: Purpose = Purpose()
    data: tuple[DataUsed, ...] = ()
    learner: str = ""
    parameters: dict[str, Value] = {}
    metrics: tuple[Measured, ...] = ()
    gates: tuple[Verdict, ...] = ()
    limits: tuple[str, ...] = ()
    code: dict[str, str] = {}
    notes: dict[str, Any] = {}


def write_facts(facts: Facts) -> bytes:
    """The stored form.

    Errors: ``registry.bad_facts`` when something in it is not JSON.
    """
    try:
        data = canonical_json(facts)
        msgspec.json.decode(data, type=Facts)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise Invalid(
            "registry.bad_facts",
            f"The facts of a version must be JSON ({error}).",
            hint="Convert numpy values with .item(), and leave a metric that is not a number None.",
        ) from error
    return data


def read_facts(data: bytes) -> Facts:
    """Facts from their stored form.

    Errors: ``registry.bad_facts``.
    """
    try:
        return msgspec.json.decode(data, type=Facts)
    except msgspec.MsgspecError as error:
        raise Invalid(
            "registry.bad_facts",
            f"The stored facts of a version cannot be read ({error}).",
            hint="Was it written by a newer version of Mainspring?",
        ) from error
