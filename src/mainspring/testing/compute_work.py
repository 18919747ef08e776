"""Pieces of work for the suite of the compute port."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

from mainspring.core.errors import NotFound

_MEET_SECONDS = 60.0


def mirrored(piece: bytes) -> bytes:
    """The piece from its end, with a mark; what is printed meanwhile goes elsewhere."""
    print("a word in between")  # noqa: T201 - what a piece may do
    return bytes(reversed(piece)) + b"!"


def met(piece: bytes) -> bytes:
    """This process's number, once another does the same piece at the same time."""
    folder = Path(tempfile.gettempdir()) / f"mainspring-met-{piece.decode()}"
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    until = time.monotonic() + _MEET_SECONDS
    while len(list(folder.iterdir())) < 2 and time.monotonic() < until:  # noqa: PLR2004 - a pair
        time.sleep(0.01)
    return str(os.getpid()).encode()


def missing(piece: bytes) -> bytes:
    """An error of ours."""
    raise NotFound("compute.test", "It is not there.", hint="Look again.", what=piece.decode())


def bug(piece: bytes) -> bytes:
    """An error of nobody's."""
    return piece * (1 // 0)


def dies_once(piece: bytes) -> bytes:
    """Ends the process, unless the file is there."""
    mark = Path(os.fsdecode(piece))
    if mark.exists():
        return b"alive"
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def dies(piece: bytes) -> bytes:
    """Ends the process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return piece
