"""Expectations as SQL: which rows break which promise, found in one pass. Pure text and counting.

Each row-level expectation becomes one bit of an integer per row. A condition that is null counts
as kept, as in a SQL CHECK constraint; only ``not_null`` looks for nulls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mainspring.core.errors import Invalid
from mainspring.core.schema import Schema
from mainspring.data.cleaning import FLAWS, PERIOD, POSITION, unknown_column
from mainspring.data.sql import literal, names, quoted
from mainspring.data.types import Expectation
from mainspring.data.versions import CheckResult, Verdict

MAX_CHECKS: Final = 60  # one bit each of a 64-bit integer
KEY_UNIQUE: Final = 1  # the bit of the built-in check that a key names one row
_COLUMN_CHECKS: Final = frozenset({"not_null", "in_range", "in_set", "matches", "increasing"})


@dataclass(frozen=True, slots=True)
class RowCheck:
    """One expectation on rows: its bit, the SQL that is true for a bad row, and what to show."""

    bit: int
    name: str
    bad: str
    shown: str
    expectation: Expectation

    @property
    def mask(self) -> int:
        return 1 << self.bit


def check_name(expectation: Expectation) -> str:
    """How reports call it: ``in_range(distance)``, ``row_count``."""
    columns = (expectation.column,) if expectation.column else expectation.columns
    inside = ", ".join(columns) or (expectation.sql or "")
    return f"{expectation.check}({inside})" if inside else expectation.check


def row_checks(
    expectations: Sequence[Expectation], schema: Schema, key: Sequence[str], time: str | None
) -> list[RowCheck]:
    """The row-level checks, built-in ones first: the key is there and unique, the time is there.

    Errors: ``data.unknown_column``, ``data.bad_expectation``, ``data.too_many_expectations``,
    ``data.not_numbers``.
    """
    every = [*_built_in(key, time), *(one for one in expectations if one.check != "row_count")]
    if len(every) > MAX_CHECKS:
        raise Invalid(
            "data.too_many_expectations",
            f"A dataset may have {MAX_CHECKS} expectations, this one has {len(every)}.",
            hint="Join several into one with check = 'sql'.",
        )
    known = schema.names
    for one in every:
        for column in _columns(one):
            if column not in known:
                raise unknown_column(column, known, f" for the expectation {check_name(one)}")
        _check_numbers(one, schema)
    return [
        RowCheck(bit, check_name(one), _bad(one), _shown(one, key), one)
        for bit, one in enumerate(every)
    ]


def _check_numbers(one: Expectation, schema: Schema) -> None:
    """Refuses a range of numbers over texts: one value that is no number makes a column text."""
    numeric = any(isinstance(bound, int | float) for bound in (one.min, one.max))
    texts = {column.name for column in schema.columns if column.type == "string"}
    if one.check == "in_range" and numeric and one.column in texts:
        raise Invalid(
            "data.not_numbers",
            f"The column {one.column!r} should hold numbers ({check_name(one)}), and holds text in "
            "at least one row.",
            hint="Fix the value in the source; or list it in the source's 'null_values' if it means "
            "'unknown'; or clean it: "
            f'set = {{ {one.column} = "try_cast({one.column} AS DOUBLE)" }}.',
            column=one.column,
        )


def flaws(checks: Sequence[RowCheck]) -> str:
    """The SQL of a row's integer of broken promises."""
    bits = [f"CASE WHEN {one.bad} THEN {one.mask} ELSE 0 END" for one in checks]
    return f"CAST({' + '.join(bits)} AS BIGINT)" if bits else "CAST(0 AS BIGINT)"


def quarantine_mask(checks: Sequence[RowCheck]) -> int:
    """The bits that set a row aside."""
    return sum(one.mask for one in checks if one.expectation.severity == "quarantine")


def summary_query(checks: Sequence[RowCheck], schema: Schema, where: str = "true") -> str:
    """Per period: rows, rows kept, broken promises, and two halves of the content digest.

    The digest adds a 128-bit hash per row in two 64-bit halves, so the order of rows does not
    matter and no sum overflows (a multiset hash in the manner of Clarke et al., ASIACRYPT 2003,
    section 5, with fixed modulus: it finds accidents, not adversaries).
    """
    mask = quarantine_mask(checks)
    counts = "".join(
        f", count(*) FILTER ({FLAWS} & {one.mask} <> 0) AS bad_{one.bit}" for one in checks
    )
    row = f"row({names(schema.names)})"
    half = "18446744073709551615::UHUGEINT"
    return (
        f"SELECT {PERIOD} AS period, count(*) AS rows_in, "
        f"count(*) FILTER (kept) AS rows_kept, "
        f"CAST(sum(CAST(hash >> 64 AS UBIGINT)) FILTER (kept) AS VARCHAR) AS high, "
        f"CAST(sum(CAST(hash & {half} AS UBIGINT)) FILTER (kept) AS VARCHAR) AS low{counts} "
        f"FROM (SELECT *, {FLAWS} & {mask} = 0 AS kept, md5_number(CAST({row} AS VARCHAR)) AS hash "
        f"FROM staged WHERE {where}) GROUP BY {PERIOD} ORDER BY {PERIOD}"
    )


def examples_query(check: RowCheck) -> str:
    """The five smallest texts that show how a check is broken in ``$period``."""
    return (
        f"SELECT DISTINCT {check.shown} AS example FROM staged "
        f"WHERE {PERIOD} = $period AND {FLAWS} & {check.mask} <> 0 ORDER BY example LIMIT 5"
    )


def reasons(checks: Sequence[RowCheck]) -> str:
    """The SQL of why a row was set aside: the names of the broken promises."""
    parts = [
        f"CASE WHEN {FLAWS} & {one.mask} <> 0 THEN {literal(one.name)} END"
        for one in checks
        if one.expectation.severity == "quarantine"
    ]
    return f"concat_ws('; ', {', '.join(parts)})" if parts else "''"


def judge(check: RowCheck, checked: int, failed: int, examples: Sequence[str]) -> CheckResult:
    """The verdict on one expectation."""
    one = check.expectation
    ratio = failed / checked if checked else 0.0
    return CheckResult(
        name=check.name,
        severity=one.severity,
        checked=checked,
        failed=failed,
        ratio=ratio,
        at_most=one.at_most,
        verdict=_verdict(one, failed, ratio),
        examples=tuple(examples),
        why=one.why,
    )


def judge_count(one: Expectation, rows: int) -> CheckResult:
    """The verdict on a ``row_count``: it has no rows to set aside, so quarantine means fail."""
    low, high = one.min, one.max
    short = low is not None and rows < float(low)
    long = high is not None and rows > float(high)
    broken = int(short or long)
    verdict: Verdict = "held"
    if broken:
        verdict = "warned" if one.severity == "warn" else "failed"
    return CheckResult(
        name=check_name(one),
        severity=one.severity,
        checked=1,
        failed=broken,
        ratio=float(broken),
        at_most=0.0,
        verdict=verdict,
        examples=(f"{rows} rows",) if broken else (),
        why=one.why,
    )


def _verdict(one: Expectation, failed: int, ratio: float) -> Verdict:
    if one.severity == "quarantine":
        return "quarantined" if failed else "held"
    if ratio <= one.at_most:
        return "held"
    return "failed" if one.severity == "fail" else "warned"


def _built_in(key: Sequence[str], time: str | None) -> list[Expectation]:
    built = [
        Expectation(
            check="not_null",
            columns=tuple(key),
            severity="quarantine",
            why="A row without its key cannot be named.",
        ),
        Expectation(
            check="unique", columns=tuple(key), severity="fail", why="A key names one row."
        ),
    ]
    if time is not None:
        why = "A row without its time belongs to no period."
        built.append(Expectation(check="not_null", column=time, severity="quarantine", why=why))
    return built


def _columns(one: Expectation) -> tuple[str, ...]:
    columns = (one.column,) if one.column else one.columns
    if (one.check in _COLUMN_CHECKS or one.check == "unique") and not columns:
        raise _bad_expectation(one, "names no column", "Add column = '...'.")
    return columns


def _bad(one: Expectation) -> str:
    columns = _columns(one)
    if one.check == "sql":
        if not one.sql:
            raise _bad_expectation(one, "has no condition", "Add sql = '...'.")
        return f"({one.sql}) IS FALSE"
    if one.check == "unique":
        present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in columns)
        return f"({present}) AND count(*) OVER (PARTITION BY {names(columns)}) > 1"
    return " OR ".join(f"({_bad_value(one, quoted(name))})" for name in columns)


def _bad_value(one: Expectation, column: str) -> str:
    if one.check == "not_null":
        return f"{column} IS NULL"
    if one.check == "in_range":
        if one.min is None and one.max is None:
            raise _bad_expectation(one, "has no limits", "Add min, max or both.")
        low = f"{column} < {literal(one.min)}" if one.min is not None else "false"
        high = f"{column} > {literal(one.max)}" if one.max is not None else "false"
        return f"coalesce({low} OR {high}, false)"
    if one.check == "in_set":
        if not one.values:
            raise _bad_expectation(one, "has no values", "Add values = [...].")
        return f"coalesce({column} NOT IN ({', '.join(map(literal, one.values))}), false)"
    if one.check == "matches":
        if one.pattern is None:
            raise _bad_expectation(one, "has no pattern", "Add pattern = '...'.")
        text = f"CAST({column} AS VARCHAR)"
        return f"coalesce(NOT regexp_full_match({text}, {literal(one.pattern)}), false)"
    return f"coalesce({column} < lag({column}) OVER (ORDER BY {POSITION}), false)"


def _shown(one: Expectation, key: Sequence[str]) -> str:
    """A failing value; where that would be null or many, the row's key."""
    if one.column and one.check not in {"not_null", "sql"}:
        return f"CAST({quoted(one.column)} AS VARCHAR)"
    columns = one.columns if one.check == "unique" else tuple(key)
    parts = [f"coalesce(CAST({quoted(name)} AS VARCHAR), 'null')" for name in columns]
    return f"concat_ws(' ', {', '.join(parts)})"


def _bad_expectation(one: Expectation, what: str, hint: str) -> Invalid:
    return Invalid(
        "data.bad_expectation",
        f"The expectation {check_name(one)} {what}.",
        hint=hint,
        expectation=check_name(one),
    )
