"""One window of watching: what was measured, and what a monitor's rule makes of it.

Pure: a window's values in, breaches out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from mainspring.monitoring.types import Monitor
from mainspring.problem.types import HIGHER_IS_BETTER
from mainspring.training.estimate import Estimate

# What is watched here waits for labels; all else is known when a window is over.
LATE: Final = frozenset({"performance", "cost"})


class Drifted(msgspec.Struct, frozen=True, kw_only=True):
    """One input (or the score) against the model's reference.

    ``effect`` is a distance between 0 and 1; ``significance`` is the p-value after correction
    for the number of inputs. ``moved``: both are beyond the usual bounds (0.1 and 0.01).
    """

    name: str
    effect: float
    significance: float
    rows: int
    moved: bool = False


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A data-quality check of one input that the window breaks."""

    name: str
    check: str
    observed: float
    expected: float
    significance: float


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What one window of an endpoint held.

    ``metrics`` are of the answering variants together (champion and canary: what users got);
    ``references`` are of each watching variant on the same labelled rows. ``measurement`` counts
    from one: a window is measured again when labels came late. ``label_total`` is what its labels
    add up to.
    """

    endpoint: str
    start: datetime
    end: datetime
    model: str
    versions: tuple[int, ...]
    rows: int
    labelled: int
    metrics: dict[str, Estimate]
    references: dict[str, dict[str, Estimate]] = {}
    drift: tuple[Drifted, ...] = ()
    score_drift: Drifted | None = None
    quality: tuple[Broken, ...] = ()
    measurement: int = 1
    label_total: float | None = None

    @property
    def coverage(self) -> float:
        return self.labelled / self.rows if self.rows else 0.0


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor's rule that a window breaks."""

    monitor: str
    observed: float
    wanted: str
    reason: str


def judge(
    monitors: Mapping[str, Monitor], window: Window, evaluated: Mapping[str, float]
) -> list[Breach]:
    """The rules that this window breaks. ``evaluated`` is the model's own test evaluation.

    A window too small, or with too few labels for a rule about outcomes, breaks nothing: it says
    nothing yet.
    """
    found = []
    for name, monitor in monitors.items():
        if window.rows < monitor.min_rows and monitor.watch != "volume":
            continue
        breach = _RULES[monitor.watch](name, monitor, window, evaluated)
        if breach is not None:
            found.append(breach)
    return found


def is_judged(monitor: Monitor, window: Window) -> bool:
    """Whether the window says anything by this rule: rows enough, and labels for one on outcomes."""
    if monitor.watch == "volume":
        return True
    if window.rows < monitor.min_rows:
        return False
    return monitor.watch not in LATE or window.coverage >= monitor.min_coverage


def persistent(monitor: Monitor, name: str, past: Sequence[frozenset[str]]) -> bool:
    """Whether a breach of this window has lasted as long as the monitor's patience asks.

    ``past`` holds the names broken in the windows before, newest first.
    """
    before = past[: monitor.patience - 1]
    return len(before) == monitor.patience - 1 and all(name in one for one in before)


def _performance(
    name: str, monitor: Monitor, window: Window, evaluated: Mapping[str, float]
) -> Breach | None:
    metric = monitor.metric or ("cost_per_1000" if monitor.watch == "cost" else "auc")
    measured = window.metrics.get(metric)
    if window.coverage < monitor.min_coverage or measured is None or measured.value is None:
        return None
    value, wanted = measured.value, _bounds(monitor)
    if monitor.at_least is not None and value < monitor.at_least:
        return _breach(name, value, wanted, f"{metric} is {value:.4g}, {wanted}.")
    if monitor.at_most is not None and value > monitor.at_most:
        return _breach(name, value, wanted, f"{metric} is {value:.4g}, {wanted}.")
    own = evaluated.get(metric)
    if monitor.drop is None or own is None:
        return None
    higher = HIGHER_IS_BETTER[metric]
    loss = own - value if higher else value - own
    best = measured.high if higher else measured.low
    certain = best is not None and (best < own if higher else best > own)
    if loss > monitor.drop and certain:
        wanted = f"within {monitor.drop:g} of {own:.4g}, its own evaluation"
        reason = f"{metric} fell from {own:.4g} to {value:.4g}; the interval leaves {own:.4g} out."
        return _breach(name, value, wanted, reason)
    return None


def _drift(
    name: str, monitor: Monitor, window: Window, _evaluated: Mapping[str, float]
) -> Breach | None:
    candidates = window.drift if monitor.watch == "drift" else (window.score_drift,)
    moved = [
        d
        for d in candidates
        if d is not None and d.effect >= monitor.effect and d.significance <= monitor.significance
    ]
    if not moved:
        return None
    most = max(moved, key=lambda d: d.effect)
    names = ", ".join(d.name for d in sorted(moved, key=lambda d: -d.effect)[:3])
    wanted = f"distance below {monitor.effect:g} or not significant at {monitor.significance:g}"
    reason = f"{len(moved)} moved ({names}); the largest distance is {most.effect:.3f}."
    return _breach(name, most.effect, wanted, reason)


def _quality(
    name: str, monitor: Monitor, window: Window, _evaluated: Mapping[str, float]
) -> Breach | None:
    allowed = monitor.at_most or 0.0
    if len(window.quality) <= allowed:
        return None
    worst = min(window.quality, key=lambda b: b.significance)
    reason = f"{len(window.quality)} checks broken; {worst.name}: {worst.check} is {worst.observed:.4g}, expected {worst.expected:.4g}."
    return _breach(name, float(len(window.quality)), f"at most {allowed:g} broken", reason)


def _volume(
    name: str, monitor: Monitor, window: Window, _evaluated: Mapping[str, float]
) -> Breach | None:
    low = monitor.at_least if monitor.at_least is not None else monitor.min_rows
    if window.rows < low or (monitor.at_most is not None and window.rows > monitor.at_most):
        wanted = _bounds(monitor) or f"at least {low:g}"
        return _breach(name, float(window.rows), wanted, f"{window.rows:,} rows, {wanted}.")
    return None


def _bounds(monitor: Monitor) -> str:
    parts = []
    if monitor.at_least is not None:
        parts.append(f"wanted at least {monitor.at_least:g}")
    if monitor.at_most is not None:
        parts.append(f"wanted at most {monitor.at_most:g}")
    return " and ".join(parts)


def _breach(name: str, observed: float, wanted: str, reason: str) -> Breach:
    return Breach(monitor=name, observed=observed, wanted=wanted, reason=reason)


_RULES: dict[str, Any] = {
    "performance": _performance,
    "cost": _performance,
    "drift": _drift,
    "score_drift": _drift,
    "quality": _quality,
    "volume": _volume,
}
