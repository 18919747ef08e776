"""Versions as portable files, to be taken in elsewhere."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import msgspec

from mainspring._bootstrap.workspace import open_workspace
from mainspring.core.digest import sha256
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry import Manifest


def packed(folder: Path, size_bytes: int) -> bytes:
    """A version of ``late`` as a portable file, made in a folder of its own."""
    weights = {"version": 1, "link": "logit", "intercept": -2.0, "numbers": {}, "categories": {}}
    files = {"linear.json": msgspec.json.encode(weights), "more.bin": b"x" * size_bytes}
    manifest = Manifest(
        name="late",
        task="binary",
        runtime="linear",
        signature=Signature((InputColumn("items", "number"),), "probability"),
        files={path: sha256(data) for path, data in files.items()},
    )
    target = BytesIO()
    with open_workspace(folder) as made:
        made.registry.models.register("late", exists_ok=True)
        version = made.registry.versions.create("late", manifest, files)
        made.registry.transfers.export("late", version.number, target)
    return target.getvalue()
