"""A version as one portable file: a ZIP with a fixed layout, the same bytes for the same version.

::

    card.json, card.md          for people; never read back
    model.sig                   the signature over the folder beside it
    model/version.json          name, number and package
    model/manifest.json         the manifest, whose SHA-256 is the package
    model/facts.json            what training recorded
    model/files/...             the package's files

Reading trusts nothing: an allow-list of names, regular files only, caps on number and bytes that
are counted while reading, and no path ever leaves this module.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from mainspring.core.errors import Invalid
from mainspring.registry.names import MAX_PACKAGE_FILES, check_package_paths

MAX_ARCHIVE_BYTES: Final = 2_000_000_000  # beyond it the format needs its 64-bit extension
MAX_DOCUMENT_BYTES: Final = 16_000_000
CHUNK_BYTES: Final = 1 << 20
FOLDER: Final = "model/"
FILES: Final = "model/files/"
_DOCUMENTS: Final = frozenset(
    {
        "card.json",
        "card.md",
        "model.sig",
        "model/version.json",
        "model/manifest.json",
        "model/facts.json",
    }
)
_NEEDED: Final = ("model/version.json", "model/manifest.json")
_END: Final = struct.Struct("<4s4H2LH")  # end of central directory, APPNOTE.TXT 4.3.16
_MAX_DIRECTORY_BYTES: Final = 1_000_000
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def write_archive(target: BinaryIO, entries: Mapping[str, bytes | Iterable[bytes]]) -> None:
    """Writes the entries, stored and in the order of their names, to a seekable file.

    Errors: ``registry.archive_too_large``.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name in sorted(entries):
            content = entries[name]
            chunks = (content,) if isinstance(content, bytes) else content
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # Unix, on every system, so that the bytes are the same
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            with archive.open(info, "w") as file:
                for chunk in chunks:
                    file.write(chunk)
                    if target.tell() > MAX_ARCHIVE_BYTES:
                        raise Invalid(
                            "registry.archive_too_large",
                            "This version is too large for one portable file.",
                            hint="Copy the workspace's objects instead.",
                        )


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive whose directory was checked; contents are checked while they are read."""

    _archive: zipfile.ZipFile
    paths: tuple[str, ...]

    def document(self, name: str) -> bytes | None:
        """One of the documents, or None when it is not there."""
        if name not in self._archive.NameToInfo:
            return None
        with _translated():
            return b"".join(self._read(name, MAX_DOCUMENT_BYTES))

    def chunks(self, path: str) -> Iterator[bytes]:
        """The bytes of one of the package's files."""
        with _translated():
            yield from self._read(FILES + path, MAX_ARCHIVE_BYTES)

    def _read(self, name: str, most_bytes: int) -> Iterator[bytes]:
        declared = min(self._archive.getinfo(name).file_size, most_bytes)
        count = 0
        with self._archive.open(name) as file:
            while chunk := file.read(CHUNK_BYTES):
                count += len(chunk)
                if count > declared:
                    raise _bad(f"{name!r} holds more than it declares")
                yield chunk


@contextmanager
def open_archive(source: BinaryIO) -> Iterator[Archive]:
    """An archive to read from, refused unless every name in it is expected.

    Errors: ``registry.bad_archive``, ``registry.bad_path``.
    """
    with _translated():
        _check_end(source)
        archive = zipfile.ZipFile(source)
    with archive:
        yield Archive(archive, _check_entries(archive.infolist()))


def _check_end(source: BinaryIO) -> None:
    """Refuses a directory too large to be parsed, before anything parses it."""
    size_bytes = source.seek(0, io.SEEK_END)
    if not _END.size <= size_bytes <= MAX_ARCHIVE_BYTES + _MAX_DIRECTORY_BYTES:
        raise _bad(f"it has {size_bytes} bytes")
    source.seek(size_bytes - _END.size)
    magic, _, _, here, entries, length, start, comment = _END.unpack(source.read(_END.size))
    if magic != b"PK\x05\x06" or comment or here != entries:
        raise _bad("it does not end as a plain ZIP file does")
    if entries > MAX_PACKAGE_FILES + len(_DOCUMENTS) or length > _MAX_DIRECTORY_BYTES:
        raise _bad(f"it has {entries} entries")
    if start + length + _END.size != size_bytes:
        raise _bad("there are bytes that belong to no entry")


def _check_entries(entries: list[zipfile.ZipInfo]) -> tuple[str, ...]:
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise _bad("a name occurs twice")
    for entry in entries:
        fault = _fault(entry)
        if fault:
            raise _bad(f"{entry.filename[:80]!r} {fault}")
    if sum(entry.file_size for entry in entries) > MAX_ARCHIVE_BYTES:
        raise _bad("its contents are too large")
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise _bad(f"{missing[0]!r} is missing")
    paths = tuple(name.removeprefix(FILES) for name in names if name.startswith(FILES))
    check_package_paths(paths)
    return paths


def _fault(entry: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.filename not in _DOCUMENTS and not entry.filename.startswith(FILES):
        return "does not belong in a model archive"
    if entry.orig_filename != entry.filename or entry.flag_bits & 0x1:
        return "is hidden or encrypted"
    if kind not in {0, stat.S_IFREG} or entry.is_dir():
        return "is not a regular file"
    if entry.compress_type != zipfile.ZIP_STORED:
        return "is compressed; archives of ours are not"
    return ""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, EOFError, NotImplementedError, struct.error) as error:
        raise _bad(str(error)) from error


def _bad(why: str) -> Invalid:
    return Invalid(
        "registry.bad_archive",
        f"This is not a model archive that can be read: {why}.",
        hint="Make one with 'mainspring models package NAME/VERSION'.",
    )
