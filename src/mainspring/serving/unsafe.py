"""What is refused in a package before anything of it is opened.

No runtime in the gateway's own process unpickles, so a pickle among the files is at best useless;
it is refused, because the next program that opens the package may be less careful. Archives are
looked at by their table of contents alone.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Final

from mainspring.core.errors import Invalid
from mainspring.serving.refusals import unreadable, unsafe

MAX_UNPACKED_BYTES: Final = 2_000_000_000
MAX_RATIO: Final = 200  # text as repetitive as trees packs 20 times, zeros a thousand times
SMALL_BYTES: Final = 10_000_000
MAX_ENTRIES: Final = 100_000
_PICKLES: Final = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt")
_PROTOCOLS: Final = tuple(b"\x80" + bytes([n]) for n in range(2, 6))
_ZIP: Final = b"PK\x03\x04"
_ARRAY: Final = b"\x93NUMPY"
_HEAD_BYTES: Final = 1024
_OBJECTS: Final = (b"'|O'", b"'O'", b"'|O8'", b'"|O"')


def refuse_unsafe(files: Mapping[str, bytes]) -> None:
    """Nothing, or an error naming the first file that must not be opened.

    Errors: ``serving.package_unsafe``, ``serving.package_unreadable``.
    """
    for path, data in files.items():
        _refuse_pickle(path, data[:_HEAD_BYTES])
        if data.startswith(_ZIP):
            _refuse_archive(path, data)


def _refuse_pickle(path: str, head: bytes) -> None:
    if path.lower().endswith(_PICKLES) or head.startswith(_PROTOCOLS):
        raise unsafe(path, "it is a pickle, which runs code when it is read")
    if head.startswith(_ARRAY) and any(mark in head for mark in _OBJECTS):
        raise unsafe(path, "it is an array of objects, which holds a pickle")


def _refuse_archive(path: str, data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _refuse_bomb(path, entries, len(data))
            for entry in entries:
                _refuse_place(path, entry)
                with archive.open(entry) as file:
                    _refuse_pickle(f"{path}:{entry.filename}", file.read(_HEAD_BYTES))
    except Invalid:
        raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise unreadable(path, str(error) or "it is no whole archive") from error


def _refuse_bomb(path: str, entries: list[zipfile.ZipInfo], packed: int) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    bomb = unpacked > SMALL_BYTES and unpacked > MAX_RATIO * packed
    if bomb or unpacked > MAX_UNPACKED_BYTES or len(entries) > MAX_ENTRIES:
        raise unsafe(path, f"{packed} bytes would become {unpacked} in {len(entries)} files")


def _refuse_place(path: str, entry: zipfile.ZipInfo) -> None:
    parts = entry.filename.replace("\\", "/").split("/")
    if ".." in parts or entry.filename.startswith(("/", "\\")) or ":" in parts[0]:
        raise unsafe(path, f"its entry {entry.filename[:80]!r} would lie outside of it")
