"""Defaults that depend on other keys, written into the values before they are checked.

A section's own defaults suit a binary task over rows with a time. Where the file says otherwise,
and does not name the dependent key itself, the default follows: a file stays short without
contradicting itself. What the file does name is never touched.
"""

from __future__ import annotations

from typing import Any, Final

from mainspring.core.durations import format_duration, parse_duration
from mainspring.core.errors import Invalid

_COOLDOWN: Final = "14d"
_LENGTHS: Final = {"week": "7d", "month": "28d"}


def with_defaults(value: dict[str, Any]) -> dict[str, Any]:
    """The values with each dependent default filled in; the argument is not changed."""
    wanted: list[tuple[tuple[str, ...], Any]] = []
    problem = _table(value, "problem")
    if problem.get("task") == "regression":
        wanted += [(("training", "baseline"), "linear"), (("comparison", "metric"), "rmse")]
    dataset = _table(_table(value, "datasets"), problem.get("dataset"))
    if dataset and "time" not in dataset:
        wanted += [(("training", "resample"), "row"), (("training", "split", "method"), "hash")]
    wanted += _cooldown(_table(value, "retraining").get("every"))
    for path, default in wanted:
        value = _filled(value, path, default)
    return value


def _cooldown(every: Any) -> list[tuple[tuple[str, ...], Any]]:
    """Retraining more often than the usual cooldown shortens it."""
    try:
        length = parse_duration(_LENGTHS.get(every, every))
    except (Invalid, TypeError):
        return []
    if not length or length >= parse_duration(_COOLDOWN):
        return []
    return [(("retraining", "cooldown"), format_duration(length))]


def _table(value: dict[str, Any], key: Any) -> dict[str, Any]:
    found = value.get(key) if isinstance(key, str) else None
    return found if isinstance(found, dict) else {}


def _filled(value: dict[str, Any], path: tuple[str, ...], default: Any) -> dict[str, Any]:
    key, *rest = path
    if not rest:
        return {key: default, **value}
    inner = value.get(key, {})
    if not isinstance(inner, dict):
        return value
    return {**value, key: _filled(inner, tuple(rest), default)}
