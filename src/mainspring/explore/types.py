"""The picture of one dataset version, as plain numbers that become JSON as they are."""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.core.schema import ColumnType

Severity = Literal["note", "caution", "stop"]


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of values, its end excluded (the last one's included), and how many lie in it."""

    low: float
    high: float
    rows: int


class TopValue(msgspec.Struct, frozen=True, kw_only=True):
    """A frequent value as text, and how many rows have it."""

    value: str
    rows: int


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One column. Numbers of a moment or date are seconds since 1970; ``low`` and ``high`` text.

    ``distinct`` is an estimate within a few percent. ``association`` is the share of the target's
    variance that the column explains alone (0 to 1), corrected for the number of its groups.
    """

    name: str
    type: ColumnType
    rows: int
    nulls: int
    null_ratio: float
    distinct: int
    low: str | None = None
    high: str | None = None
    mean: float | None = None
    deviation: float | None = None
    zeros: int | None = None
    quantiles: dict[str, float] = {}
    histogram: tuple[Bin, ...] = ()
    top_values: tuple[TopValue, ...] = ()
    association: float | None = None


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """Pearson's coefficient of two number columns, over the rows that have both."""

    first: str
    second: str
    coefficient: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something to look at before training: what, where, how bad, and what to do."""

    code: str
    severity: Severity
    message: str
    hint: str
    columns: tuple[str, ...] = ()


class TargetProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The target: how many rows have it, its mean (for two classes the base rate), its spread."""

    sql: str
    rows: int
    missing: int
    classes: int
    mean: float | None
    deviation: float | None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset version: its columns, how they go together, and whether it is ready to train."""

    dataset: str
    version: int
    rows: int
    duplicate_rows: int
    columns: tuple[ColumnProfile, ...]
    correlations: tuple[Correlation, ...]
    target: TargetProfile | None
    warnings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing stands in the way of training."""
        return not any(warning.severity == "stop" for warning in self.warnings)
