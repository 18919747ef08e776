"""Freeing objects on disk: what is young stays, and a collection that died loses nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mainspring._adapters.files.objects import FileObjects
from mainspring._adapters.files.paths import Parts, Root
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


class Moving(Root):
    """A folder in which a collection moves one object just before the looks that are named."""

    __slots__ = ("collection", "looks", "moves")

    def __init__(self, path: Path, collection: Callable[[], None], moves: set[int]) -> None:
        super().__init__(path)
        self.collection, self.moves, self.looks = collection, moves, 0

    def open(self, parts: Parts) -> int:
        self.looks += 1
        if self.looks in self.moves:
            self.collection()
        return super().open(parts)


@pytest.mark.parametrize("moves", [{1}, {2}, {1, 2}, {1, 2, 3}])
def test_an_object_that_moves_is_found(
    objects: FileObjects, tmp_path: Path, moves: set[int]
) -> None:
    """Whoever looks while a collection takes an object away and brings it back finds it."""
    digest = objects.put(b"moving")
    here = place(tmp_path, digest)
    there = tmp_path / "leaving" / here.name
    there.parent.mkdir()
    if 1 not in moves:  # the first move is then the one back
        here.rename(there)

    def move() -> None:
        if here.exists():
            here.rename(there)
        else:
            there.rename(here)

    objects._root = Moving(tmp_path, move, moves)
    assert objects.size_bytes(digest) == len(b"moving")


def test_bytes_freed_while_they_are_put_are_stored_anew(
    objects: FileObjects, tmp_path: Path
) -> None:
    """A collection that spares nothing, between a put's two looks, takes nothing from it."""
    digest = objects.put(b"again")
    objects._root = Moving(tmp_path, place(tmp_path, digest).unlink, {1})
    assert objects.put(b"again") == digest
    assert objects.get(digest) == b"again"
