"""Files outside the store (CSV, JSON, Parquet; gzip, zip) as relations, and what is wrong with them.

Options, all optional: ``delimiter`` (","), ``quote`` ('"'), ``header`` (true), ``names`` (of the
columns, for a file without header), ``null_values`` (texts that mean null; the empty text),
``timezone`` (of moments written without one; "UTC"), ``timestamp_format`` (strptime), ``types``
(column -> type, instead of detection), ``member`` (which file of a zip). Types are detected from
all rows, not from a sample.
"""

from __future__ import annotations

import csv
import glob
import gzip
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from mainspring._adapters.delta.types import SQL, literal
from mainspring.core.errors import Invalid, MainspringError, NotFound, Unavailable
from mainspring.core.names import did_you_mean
from mainspring.core.schema import ColumnType
from mainspring.ports.tables import File

MAX_UNPACKED_BYTES: Final = 64 * 1024**3
MAX_RATIO: Final = 200  # CSV packs 3 to 20 times; a bomb a thousand times
_NEW_LINE = re.compile(r"new_line='[^']*', ")
_LINE: Final = re.compile(r"CSV Error on Line: (\d+)|Line: (\d+)|on line (\d+)", re.IGNORECASE)
_BLOCK_BYTES: Final = 1 << 20


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read a file."""

    delimiter: str | None = None
    quote: str = '"'
    header: bool = True
    names: tuple[str, ...] = ()
    null_values: tuple[str, ...] = ("",)
    timezone: str = "UTC"
    timestamp_format: str | None = None
    types: dict[str, ColumnType] = {}
    member: str | None = None


def options_of(file: File) -> Options:
    """The options, checked.

    Errors: ``tables.bad_option``.
    """
    given = {key: value for key, value in file.options.items() if value is not None}
    try:
        return msgspec.convert(given, Options)
    except msgspec.ValidationError as error:
        unknown = [key for key in given if key not in Options.__struct_fields__]
        raise Invalid(
            "tables.bad_option",
            f"An option for reading {file.path!r} is wrong: {error}.",
            hint=did_you_mean(unknown[0], Options.__struct_fields__) if unknown else "",
            path=file.path,
        ) from error


def paths_of(file: File, scratch: Path) -> list[str]:
    """The files to read, sorted; what a zip holds is unpacked into the scratch folder.

    Errors: ``tables.bad_file`` when there is none, one is empty, or a zip is no sound one.
    """
    found = [file.path] if Path(file.path).is_file() else sorted(glob.glob(file.path))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise NotFound(
            "tables.bad_file",
            f"There is no file {file.path!r}.",
            hint=f"Paths start at the current folder, {str(Path.cwd())!r}.",
            path=file.path,
        )
    paths = []
    for number, name in enumerate(found):
        path = str(Path(name).resolve())
        if zipfile.is_zipfile(path) and file.format != "parquet":
            path = _unpacked(path, options_of(file).member, scratch / f"{number}")
        if not Path(path).stat().st_size:
            raise bad_file(file, f"{name!r} is empty.", "A CSV file starts with its column names.")
        paths.append(path)
    return paths


def sql_of(cursor: duckdb.DuckDBPyConnection, file: File, paths: list[str]) -> str:
    """SQL that reads the files, with every type and format fixed by a look at all their rows.

    Errors: ``tables.bad_file``.
    """
    listed = f"[{', '.join(literal(path) for path in paths)}]"
    if file.format == "parquet":
        return f"SELECT * FROM read_parquet({listed})"
    if file.format == "json":
        return f"SELECT * FROM read_json({listed}, sample_size=-1)"
    if file.format != "csv":
        raise bad_file(file, f"{file.format!r} is no known format.", "Use csv, parquet or json.")
    return " UNION ALL BY NAME ".join(_csv(cursor, file, paths))


def _csv(cursor: duckdb.DuckDBPyConnection, file: File, paths: list[str]) -> Iterator[str]:
    arguments = ", ".join(_csv_arguments(options_of(file)))
    first: set[str] | None = None
    for path in paths:
        try:
            sniffed = cursor.execute(
                f"SELECT Columns, Prompt FROM sniff_csv({literal(path)}, sample_size=-1, {arguments})"
            ).fetchall()[0]
        except duckdb.Error as error:
            _find_line(cursor, file, path, arguments)
            raise explain(file, str(error)) from error
        names = {column["name"] for column in sniffed[0]}
        first = names if first is None else first
        if names != first:
            why = f"{path!r} has other columns than {paths[0]!r}."
            raise bad_file(file, why, f"They differ in {', '.join(sorted(names ^ first))}.")
        # Told that lines end in \r\n, the engine reads no row in strict mode; untold, all of them.
        found = _NEW_LINE.sub("", sniffed[1], count=1)
        yield f"SELECT * {found.strip().rstrip(';')}"


def _find_line(cursor: duckdb.DuckDBPyConnection, file: File, path: str, arguments: str) -> None:
    """Raises for the first line that has not as many values as the header has names.

    The sniffer says only that it found no dialect; a plain read in the stated one says where.
    """
    options = options_of(file)
    opened = gzip.open if path.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as text:
            reader = csv.reader(text, delimiter=options.delimiter or ",", quotechar=options.quote)
            names = next(reader, [])
    except (UnicodeDecodeError, OSError, EOFError, csv.Error):
        return  # the sniffer's own words must do
    columns = ", ".join(f"{literal(f'c{number}')}: 'VARCHAR'" for number in range(len(names)))
    plain = arguments.split(", timestampformat=", maxsplit=1)[0].split(", types=", maxsplit=1)[0]
    try:
        cursor.execute(
            f"SELECT count(COLUMNS(*)) FROM read_csv({literal(path)}, auto_detect=false, columns={{{columns}}}, {plain})"
        ).fetchall()
    except duckdb.Error as error:
        raise explain(file, str(error)) from error


def _csv_arguments(options: Options) -> list[str]:
    nulls = ", ".join(literal(text) for text in options.null_values)
    arguments = [
        f"header={'true' if options.header else 'false'}",
        f"delim={literal(options.delimiter or ',')}",
        f"quote={literal(options.quote)}",
        "escape='\"'",
        f"nullstr=[{nulls}]",
        "skip=0",
        "strict_mode=true",
        "null_padding=false",
        "max_line_size=16777216",
    ]
    if options.names:
        arguments.append(f"names=[{', '.join(literal(name) for name in options.names)}]")
    if options.timestamp_format:
        arguments.append(f"timestampformat={literal(options.timestamp_format)}")
        arguments.append(f"dateformat={literal(options.timestamp_format)}")
    if options.types:
        pairs = (f"{literal(name)}: {literal(SQL[type_])}" for name, type_ in options.types.items())
        arguments.append(f"types={{{', '.join(pairs)}}}")
    return arguments


def explain(file: File, text: str) -> MainspringError:
    """What the engine says about a file, with the line and what to do about it."""
    found = _LINE.search(text)
    line = next((int(number) for number in found.groups() if number), None) if found else None
    where = f", line {line}" if line else ""
    lowered = text.lower()
    if "unicode" in lowered or "utf-8" in lowered or "utf8" in lowered:
        why = f"{file.path!r}{where} is not UTF-8 text."
        hint = "Save it as UTF-8, e.g. iconv -f latin1 -t utf-8 IN > OUT."
    elif "expected number of columns" in lowered or "too many columns" in lowered:
        why = f"{file.path!r}{where} does not have as many values as the header has names."
        hint = "Look for an unquoted delimiter or a cut line; the delimiter can be set."
    elif "could not convert" in lowered or "error when converting" in lowered:
        why = f"{file.path!r}{where}: a value does not fit its column's type."
        hint = "Name the text that means null (null_values), or the column's type (types)."
    else:
        why = f"{file.path!r}{where} cannot be read."
        hint = "Check its format, delimiter and quotes."
    return bad_file(file, why, hint, engine_error=text[:1000], line=line)


def bad_file(file: File, why: str, hint: str, **facts: Any) -> Invalid:
    return Invalid("tables.bad_file", why, hint=hint, path=file.path, **facts)


def is_about_file(error: duckdb.Error | str) -> bool:
    """Whether the engine's complaint is about a file's bytes, not about the query over it."""
    text = str(error)
    return bool(_LINE.search(text)) or any(
        word in text for word in ("CSV", "JSON", "Parquet", "parquet", "gzip", "Gzip", "sniff")
    )


def _unpacked(path: str, member: str | None, folder: Path) -> str:
    """The one file of a zip, unpacked; its name in the zip plays no part in where it goes."""
    file = File(path)
    with zipfile.ZipFile(path) as archive:
        names = [info for info in archive.infolist() if not info.is_dir()]
        wanted = [info for info in names if member in {None, info.filename}]
        if len(wanted) != 1:
            listed = ", ".join(info.filename for info in names[:10])
            raise bad_file(
                file,
                f"{path!r} holds {len(names)} files."
                if member is None
                else f"No {member!r} there.",
                f"Name one of them as the option 'member': {listed}.",
            )
        info = wanted[0]
        if info.file_size > min(MAX_UNPACKED_BYTES, MAX_RATIO * max(info.compress_size, 1 << 20)):
            raise bad_file(
                file,
                f"{info.filename!r} would unpack to {info.file_size:,} bytes.",
                "Unpack it yourself if you trust it.",
            )
        folder.mkdir(mode=0o700)
        target = folder / "member"
        _copy(archive, info, target, file)
    return str(target)


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, file: File) -> None:
    try:
        # ZipExtFile stops at the size the archive states, so the bound above holds.
        with archive.open(info) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, _BLOCK_BYTES)
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise bad_file(file, f"{info.filename!r} cannot be unpacked: {error}.", "") from error
    except OSError as error:
        raise Unavailable(
            "tables.full", f"The file could not be unpacked: {error}.", hint="Free some space."
        ) from error
