"""Rules of [pipelines], [endpoint], [settings]: no circles, schedules that come round."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator
from typing import Final

from mainspring.core import cron
from mainspring.core.document import Path
from mainspring.core.errors import Invalid
from mainspring.core.settings import BY_NAME, resolve
from mainspring.projects.flaws import Flaw
from mainspring.projects.rules.common import contradiction, duplicates, unknown_name
from mainspring.projects.rules.training import is_function
from mainspring.projects.spec import Pipeline, ProjectFile

_BUILT_IN = re.compile(r"[a-z][a-z0-9_-]{0,127}")
_MONTH_LENGTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def pipelines_can_run(spec: ProjectFile) -> Iterator[Flaw]:
    """Steps name code, need steps of the same pipeline, and wait for none that waits for them."""
    for name, pipeline in spec.pipelines.items():
        path: Path = ("pipelines", name)
        if not pipeline.steps:
            message = "A pipeline without steps does nothing."
            yield Flaw("project.missing_key", path, message, f"Add [pipelines.{name}.steps.NAME].")
        if pipeline.schedule is not None:
            yield from check_schedule((*path, "schedule"), pipeline.schedule)
        yield from _check_steps((*path, "steps"), pipeline)


def _check_steps(path: Path, pipeline: Pipeline) -> Iterator[Flaw]:
    graph: dict[str, list[str]] = {}
    for name, step in pipeline.steps.items():
        if not (is_function(step.run) or _BUILT_IN.fullmatch(step.run)):
            message = f"{step.run[:80]!r} names neither a built-in step nor a function."
            hint = "Write the built-in's name, or 'file.py:name'."
            yield Flaw("project.bad_value", (*path, name, "run"), message, hint)
        yield from duplicates((*path, name, "needs"), step.needs, "step")
        for index, need in enumerate(step.needs):
            if need not in pipeline.steps:
                here = (*path, name, "needs", index)
                yield unknown_name(here, "step", need, pipeline.steps, path)
        graph[name] = [need for need in step.needs if need in pipeline.steps]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1][::-1]
        yield contradiction(
            (*path, circle[0], "needs"),
            f"These steps wait for each other: {' needs '.join(circle)}.",
            "Remove one of the needs.",
            (*path, circle[1], "needs"),
        )


def check_schedule(path: Path, schedule: str) -> Iterator[Flaw]:
    """A flaw unless the text is a cron expression of five fields that comes round."""
    words = schedule.lower().split()
    example = "Five fields: minute hour day month weekday, such as '0 4 * * mon'."
    if len(words) != len(cron.FIELDS):
        message = f"A schedule has five fields, not {len(words)}."
        yield Flaw("project.bad_schedule", path, message, example)
        return
    fields: list[frozenset[int]] = []
    for word, field in zip(words, cron.FIELDS, strict=True):
        numbers = cron.numbers(word, field)
        if numbers is None:
            message = f"{word[:40]!r} is not a {field.name} ({field.low} to {field.high})."
            yield Flaw("project.bad_schedule", path, message, example)
            return
        fields.append(numbers)
    _, _, days, months, _ = fields
    if words[4] == "*" and all(min(days) > _MONTH_LENGTHS[month - 1] for month in months):
        message = "No such day ever comes in these months."
        yield Flaw("project.bad_schedule", path, message, example)


def endpoint_splits_by_columns(spec: ProjectFile) -> Iterator[Flaw]:
    """The columns that decide the variant stand once."""
    if spec.endpoint is not None:
        yield from duplicates(("endpoint", "entity"), spec.endpoint.entity, "column")


def settings_are_known(spec: ProjectFile) -> Iterator[Flaw]:
    """Each setting exists and has a value of its type."""
    for name, value in spec.settings.items():
        path: Path = ("settings", name)
        if name not in BY_NAME:
            yield unknown_name(path, "setting", name, BY_NAME, path)
            continue
        try:
            resolve({}, {name: value})
        except Invalid as error:
            yield Flaw("project.bad_value", path, error.message, error.hint)


RULES = (pipelines_can_run, endpoint_splits_by_columns, settings_are_known)
