"""The cleaned copy of a dataset's source: read and parsed once, then cut into periods.

A staged table holds every cleaned row with three columns more: its place in the file, its period
and its broken promises. Its name carries the digests of source and specification, so a copy is
never taken for another; it is written in one commit, so a crash leaves a whole one or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mainspring.core.digest import Digest, digest_of
from mainspring.core.errors import Invalid, MainspringError, NotFound
from mainspring.core.names import did_you_mean
from mainspring.core.schema import Schema
from mainspring.data import cleaning, expectations, periods
from mainspring.data.cleaning import (
    FLAWS,
    PERIOD,
    POSITION,
    SOURCE_ROWS,
    EngineColumn,
    unknown_column,
)
from mainspring.data.explain import explained
from mainspring.data.moments import check_dates
from mainspring.data.source import LocatedSource, ReadableSource, locate, ragged_line, readable
from mainspring.data.sql import quoted
from mainspring.data.types import Dataset, Expectation, Source
from mainspring.ports.tables import File, Relation, Tables, TableVersion

# The part of the recipe that changes what a staged table holds; raise it when that changes.
_RECIPE: Final = 1


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged table, the checks whose bits it holds, and how many raw rows there were."""

    table: TableVersion
    schema: Schema
    checks: tuple[expectations.RowCheck, ...]
    source_rows: int
    removed_rows: int
    source: Digest


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of a dataset as they are now: its own under ``""``, lookups by their names."""

    located: Mapping[str, LocatedSource]
    digest: Digest


def find(name: str, spec: Dataset, sources: Mapping[str, Source], folder: Path) -> Sources:
    """The files behind a dataset, and one digest of all of them.

    Errors: ``data.unknown_source`` and those of :func:`mainspring.data.source.locate`.
    """
    wanted = {"": spec.source, **spec.lookup}
    located = {}
    for role, source in wanted.items():
        if source not in sources:
            raise NotFound(
                "data.unknown_source",
                f"The dataset {name!r} reads the source {source!r}, which is not declared.",
                hint=did_you_mean(source, sources),
                dataset=name,
                source=source,
            )
        located[role] = locate(source, sources[source], folder)
    parts = {role: [one.digest, one.source] for role, one in located.items()}
    return Sources(located, digest_of(parts))


def table_name(dataset: str, spec: Dataset, sources: Sources) -> str:
    """Where the staged copy of exactly these bytes under exactly this recipe lives."""
    digest = digest_of([_RECIPE, spec_digest(spec), sources.digest]).removeprefix("sha256:")
    return f"staged/{dataset}-{digest[:24]}"


def spec_digest(spec: Dataset) -> Digest:
    """The digest of what a specification does to rows; words for people do not count."""
    return digest_of(
        [
            spec.key,
            spec.time,
            spec.period,
            [[one.set, one.drop, one.where, one.deduplicate] for one in spec.clean],
            spec.lookup,
            spec.select,
            [_effect(one) for one in spec.expect],
        ]
    )


def _effect(one: Expectation) -> list[Any]:
    """An expectation without its words for people."""
    return [getattr(one, name) for name in one.__struct_fields__ if name != "why"]


def stage(tables: Tables, dataset: str, spec: Dataset, sources: Sources) -> Staged:
    """The staged copy of a dataset's source, made now unless it is there already.

    Errors: those of reading a source, ``data.unknown_column``, ``data.bad_sql``,
    ``data.bad_time``, ``data.source_empty``.
    """
    name = table_name(dataset, spec, sources)
    if not tables.exists(name):
        with explained(dataset, spec), ExitStack() as stack:
            opened = {
                role: stack.enter_context(readable(one)) for role, one in sources.located.items()
            }
            _write(tables, name, dataset, spec, opened)
    return _described(tables, TableVersion(name, tables.version(name)), spec, sources)


def _write(
    tables: Tables, name: str, dataset: str, spec: Dataset, opened: Mapping[str, ReadableSource]
) -> None:
    raw: dict[str, str] = {}
    empty: dict[str, str] = {}
    relations: dict[str, Relation] = {}
    for role, one in opened.items():
        relation = f"raw_{len(raw)}"
        relations[relation], found = _relation(tables, one)
        dated = tuple(c.name for c in found if c.type.startswith(("TIMESTAMP", "DATE")))
        check_dates(one, dated)
        raw[role] = f"SELECT * FROM {quoted(relation)}"
        empty[role] = cleaning.empty_select(found)
    # Described over relations without rows, so the files are not looked through once more.
    selected = describe(tables, cleaning.selected_query(spec, empty), {})
    columns = [column.name for column in selected]
    sql = cleaning.cleaned_query(spec, raw, columns)
    cleaned = describe(tables, cleaning.cleaned_query(spec, empty, columns), {})
    casts, schema = cleaning.stored_columns(cleaned)
    _check_columns(dataset, spec, schema)
    _check_moments(tables, (dataset, spec, schema), sql, relations)
    checks = expectations.row_checks(spec.expect, schema, spec.key, spec.time)
    source_rows = f"(SELECT count(*) FROM {quoted('raw_0')})"
    removes = spec.select is not None or any(one.where or one.deduplicate for one in spec.clean)
    tables.append_query(
        name,
        f"SELECT *, {periods.expression(spec)} AS {PERIOD}, {expectations.flaws(checks)} AS {FLAWS}, "
        f"{source_rows if removes else 'CAST(NULL AS BIGINT)'} AS {SOURCE_ROWS} "
        f"FROM (SELECT {casts}, {POSITION} FROM ({sql}))",
        relations,
        token=name,
    )


def _described(tables: Tables, table: TableVersion, spec: Dataset, sources: Sources) -> Staged:
    stored = tables.schema(table)
    schema = Schema(
        tuple(column for column in stored.columns if column.name not in cleaning.RESERVED)
    )
    checks = expectations.row_checks(spec.expect, schema, spec.key, spec.time)
    counted = tables.query(
        f"SELECT count(*) AS cleaned, coalesce(max({SOURCE_ROWS}), count(*)) AS raw FROM staged",
        {"staged": table},
    )
    if int(counted["cleaned"][0]) == 0:
        raise Invalid(
            "data.source_empty",
            f"The source {spec.source!r} has no row left to ingest.",
            hint="Is there more than a header line, and does some row pass the cleaning's 'where'?",
            source=spec.source,
        )
    rows, raw = int(counted["cleaned"][0]), int(counted["raw"][0])
    return Staged(table, schema, tuple(checks), raw, raw - rows, sources.digest)


def _relation(tables: Tables, one: ReadableSource) -> tuple[File, list[EngineColumn]]:
    """The source as a relation, and its columns with the types that all rows agree with."""
    options: dict[str, Any] = {"timezone": one.source.timezone}
    if one.format == "csv":
        options |= {"delimiter": one.delimiter, "null_values": list(one.source.null_values)}
        options |= {"header": not one.source.columns, "names": list(one.source.columns)}
        options["timestamp_format"] = one.source.timestamp_format
    file = File(one.path, one.format, options)
    try:
        found = describe(tables, "SELECT * FROM file", {"file": file})
    except MainspringError as error:
        if error.code != "tables.bad_file":
            raise
        _check_header(one, ())
        raise _unreadable(one, error) from error
    _check_header(one, [column.name for column in found])
    return file, found


def _check_header(one: ReadableSource, found: Sequence[str]) -> None:
    """Refuses a file that the engine reads with other columns than its first line names.

    It then skipped lines that did not fit its guess; the first that does not fit is named.
    """
    if not one.header or list(one.header) == list(found):
        return
    line, values = ragged_line(one)
    if values == len(one.header):
        return
    raise Invalid(
        "data.bad_line",
        f"Line {line} of the source {one.name!r} has {values} values where the header has "
        f"{len(one.header)} columns.",
        hint="Fix the line, or set 'delimiter' of the source; put values that hold the delimiter "
        "in double quotes.",
        source=one.name,
        line=line,
    )


def _unreadable(one: ReadableSource, error: MainspringError) -> Invalid:
    line = error.facts.get("line")
    where = f" at line {line}" if line else ""
    return Invalid(
        "data.bad_line",
        f"The source {one.name!r} cannot be read as {one.format}{where}.",
        hint=error.hint or "Check its format, delimiter and quotes.",
        source=one.name,
        line=line,
        engine=str(error.facts.get("engine_error", error.message))[:2000],
    )


def describe(tables: Tables, sql: str, relations: Mapping[str, Relation]) -> list[EngineColumn]:
    """The columns of a query, without running it."""
    found = tables.query(f"SELECT column_name, column_type FROM (DESCRIBE {sql})", relations)
    pairs = zip(found["column_name"], found["column_type"], strict=True)
    return [EngineColumn(str(name), str(type_)) for name, type_ in pairs]


def _check_columns(dataset: str, spec: Dataset, schema: Schema) -> None:
    wanted = [*spec.key, *filter(None, (spec.time, spec.known_at)), *spec.known_ahead]
    for column in (*wanted, *spec.personal):
        if column not in schema.names:
            raise unknown_column(column, schema.names, f" in the dataset {dataset!r}")


def _check_moments(
    tables: Tables,
    what: tuple[str, Dataset, Schema],
    sql: str,
    relations: Mapping[str, Relation],
) -> None:
    """Refuses a time column that could not be read as moments, with some of its values."""
    dataset, spec, schema = what
    types = {column.name: column.type for column in schema.columns}
    for column in filter(None, (spec.time, spec.known_at)):
        if types[column] in {"timestamp", "date"}:
            continue
        text = f"CAST({quoted(column)} AS VARCHAR)"
        bad = tables.query(
            f"SELECT DISTINCT {text} AS value FROM ({sql}) WHERE {text} IS NOT NULL "
            f"AND TRY_CAST({text} AS TIMESTAMPTZ) IS NULL ORDER BY value LIMIT 3",
            relations,
        )
        values = [str(value) for value in bad["value"]]
        shown = f" such as {', '.join(map(repr, values))}" if values else ""
        raise Invalid(
            "data.bad_time",
            f"The time column {column!r} of the dataset {dataset!r} holds {types[column]} values"
            f"{shown}, not moments.",
            hint="Write moments as 2013-01-31T10:00:00Z, all with a zone or all without, or "
            "convert them in a cleaning step, for example "
            f"set = {{ {column} = \"strptime({column}, '%d.%m.%Y %H:%M')\" }}.",
            dataset=dataset,
            column=column,
            type=types[column],
            examples=values,
        )
