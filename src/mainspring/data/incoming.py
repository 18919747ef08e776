"""New rows from a file in the form of a dataset, read to be predicted and not stored."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.core.schema import ColumnType, Schema
from mainspring.data.cleaning import (
    POSITION,
    RESERVED,
    EngineColumn,
    cleaned_query,
    engine_type,
    stored_type,
)
from mainspring.data.explain import explained
from mainspring.data.source import ReadableSource, locate, readable
from mainspring.data.sql import quoted
from mainspring.data.staging import describe
from mainspring.data.types import Dataset, Source
from mainspring.ports.tables import File, Frame, Tables

_NUMBERS: Final = frozenset({"integer", "number"})


@dataclass(frozen=True, slots=True)
class Incoming:
    """Rows in the order of their file. ``missing`` columns of the dataset are null in all rows.

    ``left_out`` counts rows that the dataset's cleaning dropped.
    """

    rows: Frame
    missing: tuple[str, ...]
    left_out: int


def read_incoming(
    tables: Tables, file: Path, dataset: str, spec: Dataset, *, schema: Schema, source: Source
) -> Incoming:
    """The rows of a file as the dataset would hold them, cleaned the same way.

    The file looks like the dataset's source, only that columns not known ahead may be missing. A
    dataset that is made by a ``select`` of its own takes rows that have its columns already.
    Errors: ``data.missing_column`` with the nearest spelling, ``data.bad_value`` with the row,
    and those of reading a source.
    """
    wanted = msgspec.structs.replace(source, path=glob.escape(file.name), package=None, format=None)
    if spec.select:  # the rows have its columns, not those of the source
        wanted = msgspec.structs.replace(wanted, delimiter=None, columns=())
    if file.suffix.lower() not in {
        ".csv",
        ".tsv",
        ".txt",
        ".parquet",
        ".json",
        ".jsonl",
        ".ndjson",
    }:
        wanted = msgspec.structs.replace(wanted, format=source.format or "csv")
    plain = msgspec.structs.replace(spec, select=None, clean=spec.clean if not spec.select else ())
    located = locate(file.name, wanted, file.parent.resolve())
    with readable(located) as one, explained(dataset, spec):
        relation = _file(one, schema)
        found = [column.name for column in describe(tables, "SELECT * FROM f", {"f": relation})]
        missing = _missing(file, found, plain, schema)
        empty = "".join(
            f", CAST(NULL AS {_type(schema, name)}) AS {quoted(name)}" for name in missing
        )
        raw = {"": f"SELECT *{empty} FROM {quoted('raw_0')}"}
        sql = cleaned_query(plain, raw, [*found, *missing])
        relations = {"raw_0": relation}
        columns = describe(tables, sql, relations)
        _check_values(tables, file, sql, relations, columns=columns, schema=schema)
        words = ", ".join(_converted(column, schema) for column in columns)
        rows = tables.query(f"SELECT {words} FROM ({sql}) ORDER BY {POSITION}", relations)
        count = tables.query('SELECT count(*) AS n FROM "raw_0"', relations)
    kept = len(next(iter(rows.values()))) if rows else 0
    return Incoming(rows, tuple(missing), int(count["n"][0]) - kept)


def _file(one: ReadableSource, schema: Schema) -> File:
    options: dict[str, Any] = {"timezone": one.source.timezone}
    if one.format == "csv":
        # Text stays text: an article number 0042 must not become 42 because all are digits.
        texts = {c.name: c.type for c in schema.columns if c.type == "string"}
        options |= {
            "delimiter": one.delimiter,
            "null_values": list(one.source.null_values),
            "timestamp_format": one.source.timestamp_format,
            "header": not one.source.columns,
            "names": list(one.source.columns),
            "types": {name: type_ for name, type_ in texts.items() if name in one.header},
        }
    return File(one.path, one.format, options)


def _missing(file: Path, found: Sequence[str], spec: Dataset, schema: Schema) -> list[str]:
    """The dataset's columns that the file has not, once none of them is needed."""
    made = {name for step in spec.clean for name in step.set}
    missing = [name for name in schema.names if name not in found and name not in made]
    needed = [*spec.key, *([spec.time] if spec.time else []), *spec.known_ahead]
    for name in needed:
        if name in missing:
            raise Invalid(
                "data.missing_column",
                f"{file.name!r} has no column {name!r}, which must be known for a prediction.",
                hint=did_you_mean(name, found),
                column=name,
                known=list(found)[:100],
            )
    return missing


def _converted(column: EngineColumn, schema: Schema) -> str:
    wanted = {one.name: one.type for one in schema.columns}.get(column.name)
    name = quoted(column.name)
    if wanted is None or column.name in RESERVED or _fits(column, wanted):
        return name
    return f"CAST({name} AS {engine_type(wanted)}) AS {name}"


def _fits(column: EngineColumn, wanted: ColumnType) -> bool:
    """Whether a column can stay as it was read; 2.5 among whole numbers is not made 2."""
    found = stored_type(column.type)
    return found == wanted or {found, wanted} <= _NUMBERS


def _check_values(
    tables: Tables,
    file: Path,
    sql: str,
    relations: dict[str, File],
    *,
    columns: Sequence[EngineColumn],
    schema: Schema,
) -> None:
    types = {one.name: one.type for one in schema.columns}
    for column in columns:
        wanted = types.get(column.name)
        if wanted is None or _fits(column, wanted) or wanted == "string":
            continue
        name = quoted(column.name)
        bad = tables.query(
            f"SELECT {POSITION} AS row, CAST({name} AS VARCHAR) AS value FROM ({sql}) "
            f"WHERE {name} IS NOT NULL AND TRY_CAST({name} AS {engine_type(wanted)}) IS NULL "
            f"ORDER BY {POSITION} LIMIT 1",
            relations,
        )
        if len(bad["row"]):
            raise Invalid(
                "data.bad_value",
                f"Row {int(bad['row'][0])} of {file.name!r}: {column.name!r} is "
                f"{str(bad['value'][0])[:80]!r}, where the dataset holds {wanted} values.",
                hint="Correct it, or leave it empty when it is not known.",
                column=column.name,
                row=int(bad["row"][0]),
            )


def _type(schema: Schema, name: str) -> str:
    return engine_type(next(one.type for one in schema.columns if one.name == name))
