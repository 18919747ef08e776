"""A ``.pt2`` file, as ``torch.export.save`` writes it, opened without PyTorch.

It is a zip of a graph in JSON, numbers as raw bytes, and whatever else: sample inputs are always a
pickle, and custom objects, compiled libraries and tensors of other classes have places of their own.
``torch.export.load`` opens them all: it unpickles (falling back to ``weights_only=False``), loads
libraries, takes operators that open files, and evaluates texts of the graph as Python. So it is
never called. Here the graph and the raw numbers are read; anything that could run is refused, but
for the sample inputs, which are left where they are.

Source: torch/export/pt2_archive/_package.py and constants.py of PyTorch 2.13.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from typing import Final

from mainspring.core.errors import Invalid
from mainspring.serving.refusals import unreadable, unsafe

FILE: Final = "the .pt2 archive"
GRAPH: Final = "models/model.json"
WEIGHTS: Final = "data/weights/"
CONSTANTS: Final = "data/constants/"
WEIGHTS_TABLE: Final = f"{WEIGHTS}model_weights_config.json"
CONSTANTS_TABLE: Final = f"{CONSTANTS}model_constants_config.json"
MOST_MEMBERS: Final = 100_000

_SAMPLE: Final = "data/sample_inputs/model.pt"
_HEAD: Final = b"PK\x03\x04"
_ROOT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,200}")
_NUMBERS: Final = re.compile(r"data/(weights/weight|constants/tensor)_[0-9]{1,9}")
_PLAIN: Final = frozenset({GRAPH, WEIGHTS_TABLE, CONSTANTS_TABLE})
_MARKS: Final[Mapping[str, bytes | None]] = {
    "archive_format": b"pt2",
    "archive_version": b"0",
    "byteorder": b"little",
    ".data/version": None,
    ".data/serialization_id": None,
    ".format_version": None,
    ".storage_alignment": None,
}
_MOST_MARK_BYTES: Final = 256
# What a member is, by how its name begins, where that is worth a word of its own.
_KINDS: Final = (
    (f"{CONSTANTS}custom_obj", "a custom object, which is a pickle"),
    (f"{CONSTANTS}opaque_obj", "an object of Python, which is a pickle"),
    ("data/aotinductor/", "compiled code"),
    ("data/sample_inputs/", "a pickle"),
    ("extra/", "an extra file, which no answer needs"),
    ("models/", "a second program"),
)


def read_archive(data: bytes) -> dict[str, bytes]:
    """The graph, both tables and all raw numbers, by their name below the archive's root.

    Errors: ``serving.package_unsafe`` for what could run or lead out, by name;
    ``serving.package_unreadable``.
    """
    if not data.startswith(_HEAD):
        raise unreadable(FILE, "it is no archive")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _members(archive, len(data))
    except Invalid:
        raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise unreadable(FILE, str(error) or "it is no whole archive") from error


def _members(archive: zipfile.ZipFile, packed: int) -> dict[str, bytes]:
    entries = archive.infolist()
    _refuse_bomb(entries, packed)
    root = entries[0].filename.partition("/")[0] if entries else ""
    if not _ROOT.fullmatch(root):
        raise unsafe(FILE, f"its entry {root[:80]!r} would lie outside of it")
    found: dict[str, bytes] = {}
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename.removeprefix(f"{root}/")
        if name == entry.filename or name in seen:
            raise unsafe(FILE, f"its entry {entry.filename[:80]!r} is outside, or there twice")
        seen.add(name)
        if name == _SAMPLE:
            continue
        _refuse_unknown(name)
        content = archive.read(entry)
        if name in _MARKS:
            _refuse_mark(name, content)
        else:
            found[name] = content
    if "archive_format" not in seen or not seen >= _PLAIN:
        raise unreadable(FILE, "it is no program of torch.export.save")
    return found


def _refuse_bomb(entries: list[zipfile.ZipInfo], packed: int) -> None:
    """PyTorch packs nothing, so whatever would grow, or lies over another, is no work of its."""
    unpacked = sum(entry.file_size for entry in entries)
    stored = all(
        entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
        for entry in entries
    )
    if not stored or unpacked > packed or len(entries) > MOST_MEMBERS:
        raise unsafe(FILE, f"{packed} bytes would become {unpacked} in {len(entries)} files")


def _refuse_unknown(name: str) -> None:
    if name in _PLAIN or name in _MARKS or _NUMBERS.fullmatch(name):
        return
    kind = next((what for start, what in _KINDS if name.startswith(start)), "nothing known")
    raise unsafe(FILE, f"its member {name[:80]!r} is {kind}")


def _refuse_mark(name: str, content: bytes) -> None:
    wanted = _MARKS[name]
    if len(content) > _MOST_MARK_BYTES or (wanted is not None and content.strip() != wanted):
        raise unreadable(FILE, f"its {name} is {content[:40]!r}")
