"""The one opener of paths: every file below a root, reached part by part, never through a link.

A path from outside is parsed once into parts (:func:`parse`) and never joined into text again.
Each part is opened relative to the folder before it (``openat``) with ``O_NOFOLLOW``, so neither a
link planted beforehand nor a folder swapped during the walk leads outside.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mainspring.core.errors import Denied, Invalid

Parts = tuple[str, ...]
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
MAX_PARTS: Final = 32
MAX_PART_BYTES: Final = 255
_FORBIDDEN: Final = re.compile(
    r"[\x00-\x1f\x7f\\]"  # control characters; the other system's separator
    r"|%[0-9A-Fa-f]{2}"  # an escape that is left was encoded twice
    r"|^~|:"  # a home; a drive, a scheme, a stream of NTFS
    r"|[. ]$"  # '.', '..', '...'; and names that Windows would shorten
)


def parse(text: str) -> Parts:
    """The parts of a relative path with ``/`` between them, in Unicode normal form C.

    Errors: ``files.bad_path`` for an absolute path, an empty part, ``.`` and ``..``, a backslash, a
    control character, a percent escape, a colon, or more than 32 parts of 255 bytes.
    """
    parts = tuple(unicodedata.normalize("NFC", part) for part in text.split("/"))
    if len(parts) > MAX_PARTS or not all(_is_plain(part) for part in parts):
        raise Invalid(
            "files.bad_path",
            f"{text[:80]!r} is not a path below a folder.",
            hint="Write plain names with '/' between them, such as 'plots/roc.png'.",
            path=text[:80],
        )
    return parts


def _is_plain(part: str) -> bool:
    try:
        size_bytes = len(part.encode("utf-8"))
    except UnicodeEncodeError:  # a lone surrogate: bytes that were no UTF-8
        return False
    return 0 < size_bytes <= MAX_PART_BYTES and _FORBIDDEN.search(part) is None


class Root:
    """A folder, and the only way to the files below it.

    Errors: ``FileNotFoundError`` when a part does not exist, ``files.not_plain`` when one is a link,
    a device, a pipe or a file with a second name (hard link).
    """

    __slots__ = ("path",)

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)

    @contextmanager
    def folder(self, parts: Parts, *, create: bool = False) -> Iterator[int]:
        """A descriptor of a folder below the root; ``create`` makes what is missing, durably."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                child = _open_folder(part, descriptor, create=create)
                os.close(descriptor)
                descriptor = child
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, parts: Parts) -> int:
        """A descriptor to read a regular file; the caller closes it."""
        with self.folder(parts[:-1]) as folder:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = _checked_open(parts[-1], flags, folder)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(descriptor)
            raise _not_plain(parts[-1])
        return descriptor

    def create(self, parts: Parts) -> int:
        """A descriptor to write a new file that only its owner may read; the caller closes it."""
        with self.folder(parts[:-1], create=True) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(parts[-1], flags, FILE_MODE, dir_fd=folder)

    def move(self, source: Parts, target: Parts) -> None:
        """Gives a file its place at once, over what was there, and makes the move durable."""
        with self.folder(source[:-1]) as here, self.folder(target[:-1], create=True) as there:
            os.rename(source[-1], target[-1], src_dir_fd=here, dst_dir_fd=there)
            os.fsync(there)

    def sync(self, parts: Parts) -> None:
        """Makes the names in a folder durable."""
        with self.folder(parts) as folder:
            os.fsync(folder)

    def size_bytes(self, parts: Parts) -> int:
        """The length of a regular file."""
        descriptor = self.open(parts)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def delete(self, parts: Parts) -> bool:
        """Removes one name, never what a link points to; False when it was not there."""
        try:
            with self.folder(parts[:-1]) as folder:
                os.unlink(parts[-1], dir_fd=folder)
                os.fsync(folder)
        except FileNotFoundError:
            return False
        return True

    def names(self, parts: Parts) -> list[str]:
        """The names in a folder, sorted; none when it does not exist."""
        with suppress(FileNotFoundError), self.folder(parts) as folder:
            return sorted(os.listdir(folder))  # noqa: PTH208 - by descriptor
        return []


def _open_folder(part: str, parent: int, *, create: bool) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return _checked_open(part, flags, parent)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(part, FOLDER_MODE, dir_fd=parent)
    os.fsync(parent)
    return _checked_open(part, flags, parent)


def _checked_open(part: str, flags: int, folder: int) -> int:
    try:
        return os.open(part, flags, dir_fd=folder)
    except OSError as error:
        # A link (ELOOP), a socket or device without driver (ENXIO), a file where a folder was named.
        if error.errno in {errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENOTDIR}:
            raise _not_plain(part) from error
        raise


def _not_plain(part: str) -> Denied:
    return Denied(
        "files.not_plain",
        f"{part!r} is not a plain file or folder.",
        hint="Links, devices and pipes are not followed; put the file itself there.",
        part=part,
    )
