"""Rules of [monitoring], [retraining], [comparison], [release] and [replay]: the loop closes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from mainspring.core.document import Path
from mainspring.core.durations import parse_duration
from mainspring.monitoring.types import Monitor
from mainspring.projects.flaws import Flaw
from mainspring.projects.rules.common import (
    ZERO,
    contradiction,
    duplicates,
    not_zero,
    unknown_name,
)
from mainspring.projects.rules.problem import dataset_of
from mainspring.projects.rules.thresholds import check_metric, check_threshold
from mainspring.projects.spec import ProjectFile

# What each kind of monitor understands, and of which of these it needs at least one.
_UNDERSTANDS: Final[dict[str, tuple[str, ...]]] = {
    "performance": ("metric", "at_least", "at_most", "drop"),
    "cost": ("at_most", "drop"),
    "drift": (),
    "score_drift": (),
    "quality": ("at_most",),
    "volume": ("at_least", "at_most"),
}
_BOUNDS: Final = ("at_least", "at_most", "drop")
_LENGTHS: Final = {"week": timedelta(days=7), "month": timedelta(days=28)}


def monitors_can_alert(spec: ProjectFile) -> Iterator[Flaw]:
    """A monitor has the thresholds that fit what it watches, and only those."""
    yield from not_zero(("monitoring", "window"), spec.monitoring.window)
    for name, monitor in spec.monitoring.monitors.items():
        path: Path = ("monitoring", "monitors", name)
        yield from _check_bounds(path, monitor)
        if monitor.watch != "performance":
            continue
        yield from check_metric((*path, "metric"), monitor.metric, spec.problem.task)
        if monitor.metric is None:
            yield Flaw(
                "project.missing_key", (*path, "metric"), "Missing; performance by which metric?"
            )
        else:
            yield from check_threshold(path, monitor.metric, monitor)


def _check_bounds(path: Path, monitor: Monitor) -> Iterator[Flaw]:
    known = _UNDERSTANDS[monitor.watch]
    for key in ("metric", *_BOUNDS):
        if key not in known and getattr(monitor, key) is not None:
            does = f"It knows: {', '.join(known)}." if known else "Use effect and significance."
            yield contradiction(
                (*path, key),
                f"{key!r} means nothing to a monitor that watches {monitor.watch}.",
                does,
                (*path, "watch"),
            )
    wanted = [key for key in _BOUNDS if key in known]
    if wanted and all(getattr(monitor, key) is None for key in wanted):
        message = f"This monitor can never alert: it needs {' or '.join(wanted)}."
        yield Flaw("project.missing_key", path, message)
    low, high = monitor.at_least, monitor.at_most
    if monitor.watch == "volume" and low is not None and high is not None and low > high:
        yield contradiction(
            (*path, "at_least"), f"{low:g} is above {high:g}.", "Swap them.", (*path, "at_most")
        )


def alerts_exist(spec: ProjectFile) -> Iterator[Flaw]:
    """retraining.on_alerts names monitors of the file, each once."""
    path: Path = ("retraining", "on_alerts")
    monitors = spec.monitoring.monitors
    for index, name in enumerate(spec.retraining.on_alerts):
        if name not in monitors:
            yield unknown_name(
                (*path, index), "monitor", name, monitors, ("monitoring", "monitors")
            )
    yield from duplicates(path, spec.retraining.on_alerts, "monitor")


def retraining_can_happen(spec: ProjectFile) -> Iterator[Flaw]:
    """It may happen as often as it must, and its window is longer than what is held back."""
    retraining = spec.retraining
    path: Path = ("retraining",)
    if retraining.every != "never":
        every = _LENGTHS.get(retraining.every) or parse_duration(retraining.every)
        if every == ZERO or every < parse_duration(retraining.cooldown):
            yield contradiction(
                (*path, "every"),
                f"Every {retraining.every} is sooner than the cooldown allows.",
                "Shorten the cooldown, or retrain less often.",
                (*path, "cooldown"),
            )
    if retraining.window == "all":
        return
    window = parse_duration(retraining.window)
    for other, length in _held_back(spec):
        if window <= length:
            yield contradiction(
                (*path, "window"),
                f"All of the last {retraining.window} is held back; nothing is left to learn from.",
                "Take a longer window, or hold back less.",
                other,
            )


def _held_back(spec: ProjectFile) -> Iterator[tuple[Path, timedelta]]:
    yield ("comparison", "holdout"), parse_duration(spec.comparison.holdout)
    split = spec.training.split
    lengths = [parse_duration(each) for each in (split.validation, split.test) if each]
    if split.method == "time" and lengths:
        key = "validation" if split.validation else "test"
        yield ("training", "split", key), sum(lengths, ZERO)


def comparison_fits(spec: ProjectFile) -> Iterator[Flaw]:
    """Challenger and champion are compared by a metric of the task, on a stretch of time."""
    path: Path = ("comparison",)
    yield from check_metric((*path, "metric"), spec.comparison.metric, spec.problem.task)
    yield from not_zero((*path, "holdout"), spec.comparison.holdout)


def canary_grows(spec: ProjectFile) -> Iterator[Flaw]:
    """Each step of the canary takes more traffic than the one before, for some time."""
    path: Path = ("release", "canary")
    before = 0.0
    for index, step in enumerate(spec.release.canary):
        if step.share <= before:
            yield contradiction(
                (*path, index, "share"),
                f"A share of {step.share:g} does not grow from {before:g}.",
                "List growing shares, such as 0.05, 0.25, 1.0.",
                *([(*path, index - 1, "share")] if index else []),
            )
        yield from not_zero((*path, index, "hold"), step.hold)
        before = step.share


def replay_is_a_stretch_of_time(spec: ProjectFile) -> Iterator[Flaw]:
    """The replay's moments are dates, in order, of a dataset with a time."""
    replay, path = spec.replay, ("replay",)
    if replay is None:
        return
    moments: dict[str, datetime] = {}
    for key, text in (("history_until", replay.history_until), ("until", replay.until)):
        moment = _moment(text) if text is not None else None
        if moment is not None:
            moments[key] = moment
        elif text is not None:
            yield Flaw(
                "project.bad_value",
                (*path, key),
                f"{text[:80]!r} is not a date.",
                "Write 2013-05-01, or 2013-05-01T06:00:00Z.",
            )
    start, stop = moments.get("history_until"), moments.get("until")
    if start is not None and stop is not None and start >= stop:
        yield contradiction(
            (*path, "history_until"),
            "History ends after the replay does.",
            "Make 'until' the later one.",
            (*path, "until"),
        )
    dataset = dataset_of(spec)
    if dataset is not None and dataset.time is None:
        yield contradiction(
            path,
            "History can be replayed only along a time, but the dataset names none.",
            "Add 'time', the column with the moment of each row.",
            ("datasets", spec.problem.dataset),
        )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


RULES = (
    monitors_can_alert,
    alerts_exist,
    retraining_can_happen,
    comparison_fits,
    canary_grows,
    replay_is_a_stretch_of_time,
)
