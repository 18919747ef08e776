"""A worker process: pieces in over standard input, answers out, until the input ends."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from mainspring._adapters.process.compute import LENGTH
from mainspring.ports.compute import done


def main() -> int:
    """0 when whoever started it has closed the pipe."""
    # What a piece of work prints must not get between the answers.
    wire = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = sys.stdin.buffer
    while (work := _message(source)) is not None and (piece := _message(source)) is not None:
        answer = done(work.decode(), piece)
        try:
            wire.write(LENGTH.pack(len(answer)) + answer)
            wire.flush()
        except BrokenPipeError:
            break  # whoever asked is gone
    return 0


def _message(source: BinaryIO) -> bytes | None:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    data = source.read(size)
    return data if len(data) == size else None


if __name__ == "__main__":
    raise SystemExit(main())
