"""Objects as files: the port's suite, and what only files can break."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time

import pytest

from mainspring._adapters.files.objects import FileObjects
from mainspring.core.errors import Broken, Denied
from mainspring.testing.objects_suite import ObjectsSuite


@pytest.fixture
def objects(tmp_path):
    return FileObjects(tmp_path / "objects")


def _path(tmp_path, digest):
    name = digest.removeprefix("sha256:")
    return tmp_path / "objects" / name[:2] / name[2:4] / name


def _files(tmp_path):
    return [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]


class TestFileObjects(ObjectsSuite):
    """The objects port on a folder."""


@pytest.mark.parametrize("hurt", ["flip", "cut", "grow", "empty"])
def test_damaged_bytes_are_never_handed_out(tmp_path, objects, hurt):
    """A flipped bit, a cut or a longer file is ``objects.corrupt``, and putting again heals it."""
    data = os.urandom(3_000_000)
    digest = objects.put(data)
    path = _path(tmp_path, digest)
    bad = {
        "flip": data[:1_500_000] + bytes([data[1_500_000] ^ 1]) + data[1_500_001:],
        "cut": data[:-1],
        "grow": data + b"x",
        "empty": b"",
    }[hurt]
    path.write_bytes(bad)
    with pytest.raises(Broken) as caught:
        objects.get(digest)
    assert caught.value.code == "objects.corrupt"
    with objects.open(digest) as stream, pytest.raises(Broken):
        list(iter(lambda: stream.read(100_000), b""))
    assert not objects.verify(digest)
    assert objects.put(data) == digest
    assert objects.get(digest) == data


def test_modes_are_private(tmp_path, objects):
    """Nobody but the owner may read an object or list a folder, whatever the umask."""
    before = os.umask(0)
    try:
        objects.put(b"secret")
    finally:
        os.umask(before)
    for path in (tmp_path / "objects").rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted


def test_an_upload_that_died_is_swept_after_a_day(tmp_path, objects):
    """Leftovers of a killed process are removed once they are old, and young ones are left."""
    objects.put(b"x")
    old, young = (tmp_path / "objects" / "incoming" / name for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    FileObjects(tmp_path / "objects")
    assert not old.exists()
    assert young.exists()


def test_a_planted_link_is_not_followed(tmp_path, objects):
    """An object replaced by a link to another file is refused."""
    digest = objects.put(b"x")
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    path = _path(tmp_path, digest)
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(Denied):
        objects.get(digest)


def test_objects_is_full_when_the_limit_on_size_is_reached(tmp_path):
    """A write that the system cuts short is ``objects.full``, leaves no file, and later ones work."""
    code = """
import resource, sys
from mainspring._adapters.files.objects import FileObjects
from mainspring.core.errors import Unavailable
objects = FileObjects(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    objects.put([b"x" * 40_000] * 5)
except Unavailable as error:
    print(error.code)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
print(len(list(objects.list())), objects.put([b"x" * 40_000] * 5)[:7])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "objects")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["objects.full", "0", "sha256:"]
    assert len(_files(tmp_path)) == 1


def test_storing_the_same_bytes_again_writes_nothing(tmp_path, objects):
    """The second put of the same bytes leaves the file there; only its time is that of the put."""
    digest = objects.put(b"x" * 1000)
    before = _path(tmp_path, digest).stat()
    objects.put(b"x" * 1000)
    after = _path(tmp_path, digest).stat()
    assert before.st_ino == after.st_ino
    assert before.st_mtime_ns < after.st_mtime_ns


def test_every_name_is_synced_before_it_is_acknowledged(tmp_path, objects, monkeypatch):
    """File, then rename, then folder: in this order, so that no crash shows a torn object."""
    calls = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        calls.append(f"sync {kind}")
        real_fsync(descriptor)

    def rename(*arguments, **named):
        calls.append("rename")
        real_rename(*arguments, **named)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    objects.put(b"bytes")
    assert calls.index("sync file") < calls.index("rename")
    assert calls[-1] == "sync folder"
    assert calls.index("rename") < len(calls) - 1
