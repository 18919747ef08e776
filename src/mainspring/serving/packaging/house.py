"""This very installation as a wheel, for an image that shall hold the code that packaged it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from mainspring import __version__
from mainspring.serving.packaging.archive import WHEEL, licence, wheel_bytes

_PACKAGE: Final = "mainspring"
_LEFT_OUT: Final = frozenset({"__pycache__", "_examples"})


def build_house_wheel(into: Path) -> Path:
    """``mainspring-VERSION-py3-none-any.whl`` in a folder: source, metadata, entry points."""
    folder = f"{_PACKAGE}-{__version__}.dist-info"
    here = metadata.distribution(_PACKAGE)
    members = {f"{_PACKAGE}/{path}": data for path, data in sorted(_sources(files(_PACKAGE), ""))}
    members[f"{folder}/METADATA"] = (here.read_text("METADATA") or "").encode()
    members[f"{folder}/entry_points.txt"] = (here.read_text("entry_points.txt") or "").encode()
    members[f"{folder}/WHEEL"] = WHEEL
    members[f"{folder}/licenses/LICENSE"] = licence()
    path = into / f"{_PACKAGE}-{__version__}-py3-none-any.whl"
    path.write_bytes(wheel_bytes(members, folder))
    return path


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.name in _LEFT_OUT:
            continue
        if entry.is_dir():
            yield from _sources(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()
