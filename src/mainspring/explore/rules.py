"""What makes a table hard or dangerous to train on: rules over its numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mainspring.explore.types import ColumnProfile, Correlation, Finding, TargetProfile

FEW_ROWS: Final = 200
MANY_NULLS: Final = 0.5
NEARLY_ALL: Final = 0.99  # of rows in one value: as good as constant
KEY_LIKE: Final = 0.9  # distinct values per row: a name, not a category
MANY_CATEGORIES: Final = 1000
TOO_GOOD: Final = 0.95  # of the target's variance explained by one column: too good to be true
SAME: Final = 0.995  # correlation of two columns that say one thing
RARE: Final = 0.02
FAR_OUT: Final = 10.0  # spreads (of the middle half) beyond the middle half


def warnings(
    rows: int,
    duplicates: int,
    columns: Sequence[ColumnProfile],
    correlations: Sequence[Correlation],
    target: TargetProfile | None,
) -> tuple[Finding, ...]:
    """Everything worth a look, what stops training first."""
    found = [*_of_table(rows, duplicates), *_of_target(target, rows)]
    for column in columns:
        found += _of_column(column)
    found += _of_pairs(correlations)
    order = {"stop": 0, "caution": 1, "note": 2}
    return tuple(sorted(found, key=lambda one: order[one.severity]))


def _of_table(rows: int, duplicates: int) -> Iterator[Finding]:
    if rows < FEW_ROWS:
        yield Finding(
            code="few_rows",
            severity="stop" if rows < FEW_ROWS // 10 else "caution",
            message=f"There are {rows:,} rows only.",
            hint="Estimates will be wide; bring more history, or keep the model very simple.",
        )
    if duplicates:
        yield Finding(
            code="duplicate_rows",
            severity="caution",
            message=f"{duplicates:,} rows are copies of others but for their key.",
            hint="If they are one fact told twice, add a 'deduplicate' step.",
        )


def _of_target(target: TargetProfile | None, rows: int) -> Iterator[Finding]:
    if target is None:
        return
    if target.classes < 2:  # noqa: PLR2004 - one class cannot be told apart
        yield Finding(
            code="one_class",
            severity="stop",
            message=f"The target {target.sql!r} has {target.classes} value(s) in all rows.",
            hint="Check its definition; a model needs rows of both kinds.",
        )
    elif target.classes == 2 and target.mean is not None:  # noqa: PLR2004
        rare = min(target.mean, 1 - target.mean)
        if 0 < rare < RARE:
            yield Finding(
                code="rare_class",
                severity="caution",
                message=f"Only {rare:.2%} of rows are of the rarer class.",
                hint="Judge by cost and by precision, not by accuracy; keep the rare rows together.",
            )
    if rows and target.missing / rows > MANY_NULLS:
        yield Finding(
            code="target_missing",
            severity="caution",
            message=f"{target.missing:,} of {rows:,} rows have no target.",
            hint="Only rows with a target are trained on; ask why the others have none.",
        )


def _of_column(column: ColumnProfile) -> Iterator[Finding]:
    here = (column.name,)
    present = column.rows - column.nulls
    if present == 0:
        yield _warning("all_null", "caution", f"{column.name} is never there.", "Drop it.", here)
        return
    if column.low is not None and column.low == column.high:
        text = f"{column.name} is {column.low} in every row that has it."
        yield _warning("constant", "note", text, "It says nothing; drop it.", here)
    elif column.top_values and column.top_values[0].rows > NEARLY_ALL * column.rows:
        text = f"{column.name} is {column.top_values[0].value} in nearly all rows."
        yield _warning("nearly_constant", "note", text, "It says little.", here)
    if column.null_ratio > MANY_NULLS:
        text = f"{column.null_ratio:.0%} of {column.name} is missing."
        hint = "Ask why, and whether it will be there when predictions are made."
        yield _warning("many_nulls", "caution", text, hint, here)
    if column.type == "string" and present and column.distinct > KEY_LIKE * present:
        text = f"{column.name} names nearly every row ({column.distinct:,} values)."
        yield _warning("key_like", "note", text, "Use it as a key, not as a feature.", here)
    elif column.type == "string" and column.distinct > MANY_CATEGORIES:
        text = f"{column.name} has {column.distinct:,} values."
        hint = "As a category it will be learnt by heart; use rolling means by it instead."
        yield _warning("many_categories", "note", text, hint, here)
    if column.association is not None and column.association > TOO_GOOD:
        text = f"{column.name} alone explains {column.association:.1%} of the target."
        hint = "It was probably written after the outcome was known; keep it out of 'known_ahead'."
        yield _warning("leak", "caution", text, hint, here)
    yield from _outliers(column)


def _outliers(column: ColumnProfile) -> Iterator[Finding]:
    if column.type not in {"integer", "number"} or not column.quantiles:
        return
    low, high = column.quantiles["p25"], column.quantiles["p75"]
    reach = FAR_OUT * (high - low)
    least, most = column.quantiles["p0"], column.quantiles["p100"]
    if reach > 0 and (least < low - reach or most > high + reach):
        text = f"{column.name} runs from {least:g} to {most:g}; its middle half from {low:g} to {high:g}."
        hint = "Check whether the extremes are real; an 'in_range' expectation keeps slips out."
        yield _warning("far_out", "note", text, hint, (column.name,))


def _of_pairs(correlations: Sequence[Correlation]) -> Iterator[Finding]:
    for pair in correlations:
        if abs(pair.coefficient) > SAME:
            text = f"{pair.first} and {pair.second} say the same ({pair.coefficient:.3f})."
            yield _warning(
                "same", "note", text, "One of them is enough.", (pair.first, pair.second)
            )


def _warning(
    code: str, severity: str, message: str, hint: str, columns: tuple[str, ...]
) -> Finding:
    return Finding(code=code, severity=severity, message=message, hint=hint, columns=columns)  # type: ignore[arg-type]
