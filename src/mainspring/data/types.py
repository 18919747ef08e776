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
    format: Annotated[
        Literal["csv", "parquet", "json"] | None,
        Meta(description="Told by the file's ending when absent."),
    ] = None
    delimiter: (
        Annotated[
            str,
            Meta(
                description="For csv: the character between fields; found out when absent.",
                min_length=1,
                max_length=1,
            ),
        ]
        | None
    ) = None
    columns: Annotated[
        tuple[Column, ...],
        Meta(description="For csv without a header line: the names of its columns, in order."),
    ] = ()
    null_values: Annotated[tuple[str, ...], Meta(description="Words that mean: no value.")] = (
        "",
        "NA",
    )
    timezone: Annotated[
        str, Meta(description="Zone of timestamps that carry none (IANA name).")
    ] = "UTC"
    timestamp_format: Annotated[
        str | None,
        Meta(
            description="For csv: how dates are written, such as '%d.%m.%Y' or '%m/%d/%Y %H:%M'; "
            "found out when absent."
        ),
    ] = None


class Expectation(Section, frozen=True):
    """One promise about the data, and what happens to rows that break it.

    ``warn`` reports, ``quarantine`` sets the row aside, ``fail`` stops the ingestion.
    """

    check: Annotated[Check, Meta(description="What is promised.")]
    column: Annotated[Column | None, Meta(description="The column it is about.")] = None
    columns: Annotated[tuple[Column, ...], Meta(description="For a key of several columns.")] = ()
    min: Annotated[float | str | None, Meta(description="in_range, row_count: least value.")] = None
    max: Annotated[float | str | None, Meta(description="in_range, row_count: greatest value.")] = (
        None
    )
    values: Annotated[
        tuple[str | int | float, ...], Meta(description="in_set: the values allowed.")
    ] = ()
    pattern: Annotated[str | None, Meta(description="matches: a regular expression (RE2).")] = None
    sql: Annotated[str | None, Meta(description="A condition that holds for a good row.")] = None
    severity: Annotated[
        Severity,
        Meta(
            description="What a broken promise does: 'warn' reports, 'quarantine' sets the row aside, 'fail' stops."
        ),
    ] = "warn"
    at_most: Annotated[
        Ratio, Meta(description="Share of rows that may break a warn or fail check.")
    ] = 0.0
    why: Annotated[str, Meta(description="Why this must hold; shown with every violation.")] = ""


class Cleaning(Section, frozen=True):
    """One named step applied to the raw rows, in order."""

    set: Annotated[
        dict[str, str], Meta(description="Column -> SQL expression over the raw row.")
    ] = {}
    drop: Annotated[tuple[Column, ...], Meta(description="Columns to leave out.")] = ()
    where: Annotated[str | None, Meta(description="Keep rows for which this SQL holds.")] = None
    deduplicate: Annotated[tuple[Column, ...], Meta(description="Keep one row per key.")] = ()
    why: Annotated[
        str, Meta(description="Why this step is right; stands in the record of the version.")
    ] = ""


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
    known_ahead: Annotated[
        tuple[Column, ...], Meta(description="Columns known when a prediction is asked for.")
    ] = ()
    clean: Annotated[tuple[Cleaning, ...], Meta(description="Cleaning steps, in order.")] = ()
    lookup: Annotated[
        dict[str, str], Meta(description="Other sources the cleaning SQL may join: name -> source.")
    ] = {}
    select: Annotated[
        str | None,
        Meta(description="SQL instead of 'set' steps; reads {source} and the lookups by name."),
    ] = None
    expect: Annotated[tuple[Expectation, ...], Meta(description="What the rows promise.")] = ()
    purpose: Annotated[str, Meta(description="Why this data may be kept and used.")] = ""
    licence: Annotated[str, Meta(description="Under which terms the data may be used.")] = ""
    personal: Annotated[tuple[Column, ...], Meta(description="Columns about a person.")] = ()
