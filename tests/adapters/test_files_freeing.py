"""Freeing objects on disk: what is young stays, and a collection that died loses nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mainspring._adapters.files.objects import FileObjects
from mainspring.core.digest import Digest


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path)


def place(root: Path, digest: Digest) -> Path:
    name = digest.removeprefix("sha256:")
    return root / name[:2] / name[2:4] / name


def aged(root: Path, digest: Digest, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(place(root, digest), (moment, moment))


def test_putting_again_makes_it_young(objects: FileObjects, tmp_path: Path) -> None:
    """An old object is freed, but not once the same bytes were put again."""
    kept, gone = objects.put(b"kept"), objects.put(b"gone")
    for digest in (kept, gone):
        aged(tmp_path, digest, 7200)
    assert objects.age_seconds(kept) > 7000
    objects.put(b"kept")
    assert not objects.delete(kept, idle_seconds=3600)
    assert objects.delete(gone, idle_seconds=3600)
    assert list(objects.list()) == [kept]


def test_a_collection_that_died_half_way_lost_nothing(objects: FileObjects, tmp_path: Path) -> None:
    """An object on its way out can be read, claimed and put, and is back after the next start."""
    digests = [objects.put(data) for data in (b"read", b"claimed", b"put", b"left")]
    (tmp_path / "leaving").mkdir()
    for digest in digests:
        path = place(tmp_path, digest)
        path.rename(tmp_path / "leaving" / path.name)
    assert objects.get(digests[0]) == b"read"
    assert objects.claim(digests[1])
    assert objects.put(b"put") == digests[2]
    FileObjects(tmp_path)
    assert set(objects.list()) == set(digests)
    assert list((tmp_path / "leaving").iterdir()) == []
