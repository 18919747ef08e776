"""What one call may log to a run, checked before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import copysign, isinf
from operator import itemgetter

from msgspec.structs import replace

from mainspring.tracking.columns import Columns, in_order
from mainspring.tracking.limits import (
    MAX_ENTITIES,
    MAX_FLOAT,
    MAX_INT,
    MAX_METRICS,
    MAX_PARAM_VALUE,
    MAX_PARAMS,
    MAX_RUN_NAME,
    MAX_TAG_VALUE,
    MAX_TAGS,
    MIN_INT,
    bad,
    check_key,
    check_name,
    check_pairs,
    check_text,
)
from mainspring.tracking.types import NAME_TAG, Batch, Point


def check_batch(batch: Batch, *, most_points: int = MAX_METRICS) -> Batch:
    """The batch as it may be stored: long values cut, infinities as the greatest numbers.

    ``most_points`` is the wire's limit; what this process itself logs may come in larger batches.
    Errors: ``tracking.bad_value`` for anything over the limits; a parameter key given twice.
    """
    counts = (batch.size, len(batch.params), len(batch.tags))
    limits = (most_points, MAX_PARAMS, MAX_TAGS)
    for what, count, limit in zip(("metrics", "params", "tags"), counts, limits, strict=True):
        if count > limit:
            raise bad(
                f"A batch logging request can contain at most {limit} {what}",
                f"but this one has {count}",
                "Log in several batches.",
            )
    if sum(counts) > max(MAX_ENTITIES, most_points):
        raise bad(
            f"A batch logging request can contain at most {max(MAX_ENTITIES, most_points)} entities in all",
            f"but this one has {sum(counts)}",
            "Log in several batches.",
        )
    keys = [key for key, _ in batch.params]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise bad("Duplicate parameter keys", f"have been submitted: {twice[:80]!r}")
    for key, value in batch.tags:
        if key == NAME_TAG and value:
            check_name("a run", value, MAX_RUN_NAME)
    return replace(
        batch,
        points=check_points(batch.points),
        series=_check_series(batch),
        params=check_pairs("parameter", batch.params, MAX_PARAM_VALUE),
        tags=check_pairs("tag", batch.tags, MAX_TAG_VALUE),
        model_points=tuple(
            entry._replace(point=check_points([entry.point])[0]) for entry in batch.model_points
        ),
    )


def check_points(points: Sequence[Point]) -> tuple[Point, ...]:
    """Points with names, steps and times in range. Errors: ``tracking.bad_value``."""
    for key in set(map(itemgetter(0), points)):
        check_key(key)
        check_text("The name of a metric", key)
    if points:
        _check_range(list(map(itemgetter(2), points)), "step", MIN_INT)
        _check_range(list(map(itemgetter(3), points)), "timestamp", 0)
    if any(map(isinf, map(itemgetter(1), points))):
        points = [Point(key, _finite(value), *rest) for key, value, *rest in points]
    return tuple(points)


def _check_series(batch: Batch) -> Mapping[str, Columns]:
    """Metrics in columns with names and times in range. Errors: ``tracking.bad_value``."""
    if not batch.series:
        return {}
    if not batch.series.keys().isdisjoint(point[0] for point in batch.points):
        raise bad("A metric of a batch", "has points in columns and others beside them")
    for key, columns in batch.series.items():
        check_key(key)
        check_text("The name of a metric", key)
        if columns.steps:
            _check_range(columns.times_ms, "timestamp", 0)
    return {key: _finite_series(columns) for key, columns in batch.series.items() if columns.steps}


def _finite_series(columns: Columns) -> Columns:
    if not any(map(isinf, columns.values)):
        return columns
    values = list(map(_finite, columns.values))
    return in_order(columns.steps, columns.times_ms, values)


def _check_range(numbers: Sequence[int], what: str, least: int) -> None:
    if min(numbers) < least or max(numbers) > MAX_INT:
        raise bad(
            f"A metric's {what}",
            "is out of range",
            "Steps are 64-bit integers, timestamps milliseconds since 1970.",
        )


def _finite(value: float) -> float:
    return copysign(MAX_FLOAT, value) if isinf(value) else value
