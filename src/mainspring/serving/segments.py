"""Segments of prediction records in a folder: which are sealed, and what stands in them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mainspring.serving.recorder import OPEN_SUFFIX, SEALED_SUFFIX
from mainspring.serving.records import (
    MARK,
    Layout,
    Rows,
    answers_frame,
    inputs_frame,
    read_blocks,
    whole_bytes,
)
from mainspring.serving.routes import sync_folder


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Rows of one layout, with the place behind them to go on from."""

    segment: str
    offset: int
    layout: Layout
    rows: Rows

    def answers(self) -> dict[str, NDArray[Any]]:
        """What was answered, by column."""
        return answers_frame(self.layout, self.rows)

    def inputs(self) -> dict[str, NDArray[Any]]:
        """What was asked, by column."""
        return inputs_frame(self.layout, self.rows)


def sealed_segments(folder: Path) -> list[Path]:
    """The segments that nobody writes to any more, oldest first."""
    return sorted(folder.glob(f"*{SEALED_SUFFIX}"))


def seal_abandoned(folder: Path) -> list[Path]:
    """Seals the open segments whose writer is gone, without their torn tails; their new paths.

    A living writer holds a lock on its file, so its segment is left alone.
    """
    sealed = []
    for path in sorted(folder.glob(f"*{OPEN_SUFFIX}")):
        new = _seal_if_abandoned(path)
        if new is not None:
            sealed.append(new)
    if sealed:
        sync_folder(folder)
    return sealed


def read_segment(path: Path, *, after: int = 0) -> Iterator[RecordBatch]:
    """The rows of a segment in the order they were stored, from behind an offset on."""
    for offset, layout, rows in read_blocks(path.read_bytes()):
        if offset > after:
            yield RecordBatch(path.stem, offset, layout, rows)


def _seal_if_abandoned(path: Path) -> Path | None:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # its writer sealed it a moment ago
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists():
            return None
        whole = whole_bytes(path.read_bytes())
        if whole <= len(MARK):
            path.unlink()
            return None
        os.ftruncate(descriptor, whole)
        os.fsync(descriptor)
        return path.rename(path.with_suffix(SEALED_SUFFIX))
    except BlockingIOError:
        return None
    finally:
        os.close(descriptor)
