"""A shadow's process of the tests: the runtimes of ours and the one that makes trouble."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from trouble import TroubleRuntime

from mainspring._adapters.child.answering import answer
from mainspring._bootstrap.runtimes import known_runtimes
from mainspring.core.schema import Signature


def load():
    name, folder = sys.argv[1], Path(sys.argv[2])
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    signature = msgspec.json.decode(files.pop("signature.json"), type=Signature)
    runtimes = {**known_runtimes(), "trouble": TroubleRuntime()}
    return runtimes[name].load(files, signature)


if __name__ == "__main__":
    sys.exit(answer(load))
