"""Power loss: every acknowledged commit is on the disk, and a torn tail is taken off the log.

delta-rs writes files without syncing them. So a commit is synced here before it is acknowledged,
with the commits before it that another process may not have synced yet. A commit that the power
cut off before that was acknowledged to nobody, but its name may lie in the log with empty or
short files behind it, and would make the whole table unreadable: :func:`mend` sets such commits
aside (``*.torn``), newest first, and stops at the first that is whole.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_LOG: Final = "_delta_log"
_HINT: Final = "_last_checkpoint"
_MAGIC: Final = b"PAR1"  # the last four bytes of every whole Parquet file
OTHERS: Final = 32  # commits by other processes that may not be synced when we first write


def sync(root: Path, path: Path, first: int, last: int) -> None:
    """Makes the commits from first to last survive power loss: data, log, checkpoint, names."""
    log = path / _LOG
    places = [log / _HINT]
    for version in range(max(first, 0), last + 1):
        entry = log / f"{version:020d}.json"
        places += [path / added["path"] for added in _added(entry) or []]
        places += [entry, log / f"{version:020d}.checkpoint.parquet"]
    places += [log, path]
    if first <= 0:
        places += [folder for folder in path.parents if folder.is_relative_to(root)]
    for place in places:
        with suppress(FileNotFoundError):  # no checkpoint at this version; a vacuumed file
            _fsync(place)


def mend(path: Path) -> list[str]:
    """Sets aside what a power cut left half written; the names of what it was."""
    log = path / _LOG
    if not log.is_dir():
        return []
    torn: list[Path] = []
    for entry in sorted(log.glob("[0-9]*.json"), reverse=True):
        if _is_whole(entry):
            break
        torn.append(entry)
    lost = min((entry.name for entry in torn), default="~")[:20]  # a checkpoint may hold it too
    checkpoints = sorted(log.glob("*.checkpoint*.parquet"))
    torn += [file for file in checkpoints if file.name[:20] >= lost or not _is_parquet(file)]
    hint = log / _HINT
    if hint.exists() and not _points_to_one_of(hint, set(checkpoints) - set(torn)):
        torn.append(hint)
    for file in torn:
        file.rename(file.with_name(file.name + ".torn"))
    if torn:
        _fsync(log)
    return [file.name for file in torn]


def _is_whole(entry: Path) -> bool:
    added = _added(entry)
    return added is not None and all(
        _is_parquet(entry.parent.parent / file["path"], file["size"]) for file in added
    )


def _added(entry: Path) -> list[dict[str, Any]] | None:
    """The files that a commit adds, or None when its text is cut."""
    try:
        lines = entry.read_text("utf-8").splitlines()
        actions = [json.loads(line) for line in lines]
    except (ValueError, FileNotFoundError):
        return None
    return [action["add"] for action in actions if "add" in action] if actions else None


def _points_to_one_of(hint: Path, checkpoints: set[Path]) -> bool:
    try:
        version = f"{json.loads(hint.read_text('utf-8'))['version']:020d}"
    except (ValueError, KeyError, TypeError):
        return False
    return any(file.name.startswith(version) for file in checkpoints)


def _is_parquet(file: Path, size_bytes: int | None = None) -> bool:
    try:
        with file.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(end - len(_MAGIC), 0))
            return stream.read() == _MAGIC and size_bytes in {None, end}
    except FileNotFoundError:
        return False


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
