"""What a replay found, as the values that the terminal, the JSON document and the report show."""

from __future__ import annotations

from typing import Any

import msgspec


class MonthLine(msgspec.Struct, frozen=True, kw_only=True):
    """One month of production: the champion beside the frozen first version, on the same rows."""

    month: str
    rows: int
    frozen: float | None
    champion: float | None
    champion_version: int
    frozen_cost_per_1000: float | None
    champion_cost_per_1000: float | None
    alerts: int
    retrained: int
    decision: str


class WindowLine(msgspec.Struct, frozen=True, kw_only=True):
    """One window of watching.

    ``drifted`` counts inputs, ``effect`` is the largest distance, ``broken`` counts checks of data
    quality.
    """

    start: str
    end: str
    rows: int
    coverage: float
    champion: float | None
    low: float | None
    high: float | None
    frozen: float | None
    champion_cost_per_1000: float | None
    frozen_cost_per_1000: float | None
    drifted: int
    effect: float | None
    broken: int
    alerts: tuple[str, ...]


class VersionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One model version and what became of it."""

    version: int
    trained_until: str
    status: str
    reason: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One arrow that the loop took."""

    time: str
    challenge: int
    move: str
    reason: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a replay. ``metric`` names what ``frozen`` and ``champion`` hold."""

    project: str
    title: str
    metric: str
    cost_unit: str
    rows: dict[str, int]
    months: tuple[MonthLine, ...]
    windows: tuple[WindowLine, ...]
    versions: tuple[VersionLine, ...]
    decisions: tuple[Decision, ...]
    quality: tuple[dict[str, Any], ...]
    events: int
    audit_ok: bool
    lineage_nodes: int
    predictions_served: int
    seconds: float
    report: str = ""

    def document(self) -> dict[str, Any]:
        """The JSON document: each month's numbers carry the name of their metric."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        for line in plain["months"]:
            line[f"frozen_{self.metric}"] = line.pop("frozen")
            line[f"champion_{self.metric}"] = line.pop("champion")
        return plain
