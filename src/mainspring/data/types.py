"""Sources, datasets, expectations and cleaning, as a project declares them; versions as stored."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mainspring.core.spec import Column, Name, Ratio, Section

Severity = Literal["warn", "quarantine", "fail"]
Check = Literal[
    "not_null", "unique", "in_range", "in_set", "matches", "increasing", "row_count", "sql"
]


class Source(Section, frozen=True):
    """Where rows come from: a file, a glob of files, or a file inside an installed package."""

    path: Annotated[str, Meta(min_length=1, description="File or glob, relative to the project.")]
    package: Annotated[
        str | None, Meta(description="Installed package that holds the file; never imported.")
    ] = None
    format: Literal["csv", "parquet", "json"] | None = None
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] | None = None
    null_values: tuple[str, ...] = ("", "NA")
    timezone: Annotated[
        str, Meta(description="Zone of timestamps that carry none (IANA name).")
    ] = "UTC"


class Expectation(Section, frozen=True):
    """One promise about the data, and what happens to rows that break it.

    ``warn`` reports, ``quarantine`` sets the row aside, ``fail`` stops the ingestion.
    """

    check: Check
    column: Column | None = None
    columns: Annotated[tuple[Column, ...], Meta(description="For a key of several columns.")] = ()
    min: float | str | None = None
    max: float | str | None = None
    values: tuple[str | int | float, ...] = ()
    pattern: str | None = None
    sql: Annotated[str | None, Meta(description="A condition that holds for a good row.")] = None
    severity: Severity = "warn"
    at_most: Annotated[
        Ratio, Meta(description="Share of rows that may break a warn or fail check.")
    ] = 0.0
    why: str = ""


class Cleaning(Section, frozen=True):
    """One named step applied to the raw rows, in order."""

    set: Annotated[
        dict[str, str], Meta(description="Column -> SQL expression over the raw row.")
    ] = {}
    drop: tuple[Column, ...] = ()
    where: Annotated[str | None, Meta(description="Keep rows for which this SQL holds.")] = None
    deduplicate: Annotated[tuple[Column, ...], Meta(description="Keep one row per key.")] = ()
    why: str = ""


class Dataset(Section, frozen=True):
    """A versioned table: one source, cleaned, checked, and stored period by period.

    ``known_ahead`` lists the columns that are known at prediction time. Row features may use
    nothing else, so a column of the future cannot slip into a model.
    """

    source: Name
    key: Annotated[tuple[Column, ...], Meta(min_length=1, description="Columns that name one row.")]
    time: Annotated[Column | None, Meta(description="Event time of a row (UTC).")] = None
    known_at: Annotated[
        Column | None, Meta(description="When the row became known; event time when absent.")
    ] = None
    period: Annotated[
        Literal["all", "day", "week", "month"], Meta(description="One version per period.")
    ] = "all"
    timezone: Annotated[
        str, Meta(description="Zone in which days, weeks and months begin (IANA name).")
    ] = "UTC"
    known_ahead: tuple[Column, ...] = ()
    clean: tuple[Cleaning, ...] = ()
    lookup: Annotated[
        dict[str, str], Meta(description="Other sources the cleaning SQL may join: name -> source.")
    ] = {}
    select: Annotated[
        str | None,
        Meta(description="SQL instead of 'set' steps; reads {source} and the lookups by name."),
    ] = None
    expect: tuple[Expectation, ...] = ()
    purpose: Annotated[str, Meta(description="Why this data may be kept and used.")] = ""
    licence: str = ""
    personal: Annotated[tuple[Column, ...], Meta(description="Columns about a person.")] = ()
