"""``linear.json`` and ``constant.json``: the two plainest models, readable by anything.

``linear.json``::

    {"version": 1, "link": "logit" | "identity", "intercept": 0.1,
     "numbers":    {NAME: {"weight": 0.5, "missing_weight": 0.0,
                           "mean": 0.0, "scale": 1.0, "fill": 0.0}, ...},
     "categories": {NAME: {"weights": [w for code 0, w for code 1, ...], "unknown": 0.0}, ...}}

The answer is ``link⁻¹(intercept + Σ numbers + Σ categories)``. A number ``x`` adds
``weight * (x - mean) / scale``; a missing one adds ``weight * (fill - mean) / scale +
missing_weight``. A category adds the weight of its code; code -1 (unknown or null) adds
``unknown``. Every input of the signature stands in exactly one of the two tables, and a category
has one weight per category of the signature.

``constant.json``: ``{"value": 0.23}``.
"""

from __future__ import annotations

import msgspec


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one numeric input adds to the answer."""

    weight: float
    missing_weight: float = 0.0
    mean: float = 0.0
    scale: float = 1.0
    fill: float = 0.0


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one categorical input adds to the answer: a weight per code, and one for the rest."""

    weights: tuple[float, ...]
    unknown: float = 0.0


class LinearModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A linear model as it is stored."""

    link: str
    intercept: float
    numbers: dict[str, Number] = {}
    categories: dict[str, Category] = {}
    version: int = 1


class ConstantModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number for every row, as it is stored."""

    value: float
