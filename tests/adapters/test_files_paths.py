"""The one opener of paths leads nowhere but to plain files below its root."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring._adapters.files.paths import Root, parse
from mainspring.core.errors import Denied, Invalid, MainspringError

ATTACKS = [
    "",
    ".",
    "..",
    "../canary",
    "a/../canary",
    "a/..",
    "a//b",
    "a/",
    "/etc/passwd",
    "//etc",
    "\\\\host\\share",
    "..\\canary",
    "C:\\x",
    "c:x",
    "~",
    "~root/x",
    "%2e%2e%2fcanary",
    "%252e%252e/x",
    "a\x00b",
    "a\nb",
    "...//x",
    ".../x",
    "a./b",
    "a /b",
    "file:///etc/passwd",
    "file:/etc",
    "local:/etc",
    "http:///#/../../etc/",
    "a\udcc0\udcaeb",
    "x" * 256,
    "/".join(["a"] * 33),
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "canary").write_bytes(b"secret")
    return Root(tmp_path / "root")


def _write(root, parts, data=b"x"):
    descriptor = root.create(parts)
    os.write(descriptor, data)
    os.close(descriptor)


@pytest.mark.parametrize("text", ATTACKS)
def test_what_is_not_a_plain_relative_path_is_refused(text):
    """No escape, absolute path, drive, scheme or encoded trick is ever parsed."""
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert caught.value.code == "files.bad_path"


@given(st.text(max_size=60))
def test_whatever_is_parsed_stays_below_the_root(text):
    """A parsed path, joined naively, still lies below its folder on every system."""
    try:
        parts = parse(text)
    except MainspringError:
        return
    joined = os.path.normpath("/root/" + "/".join(parts))
    assert joined.startswith("/root/")
    assert joined.count("/") == len(parts) + 1


def test_twins_in_unicode_are_one_path():
    """The composed and the decomposed spelling of a name are the same name."""
    assert parse("caf\u00e9") == parse("cafe\u0301")


def test_a_file_is_read_back(root):
    """What is created under a path is what the path opens, private to its owner."""
    _write(root, ("a", "b", "file"), b"data")
    descriptor = root.open(("a", "b", "file"))
    assert os.read(descriptor, 10) == b"data"
    assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
    os.close(descriptor)
    assert stat.S_IMODE((root.path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE(root.path.stat().st_mode) == 0o700


def test_creating_twice_is_refused(root):
    """A new file never replaces one that is there."""
    _write(root, ("file",))
    with pytest.raises(FileExistsError):
        root.create(("file",))


@pytest.mark.parametrize("plant", ["link", "hard", "pipe", "folder"])
def test_only_plain_files_are_opened(root, tmp_path, plant):
    """A link, a second name, a pipe and a folder are refused, without waiting on them."""
    target = root.path / "file"
    if plant == "link":
        target.symlink_to(tmp_path / "canary")
    elif plant == "hard":
        os.link(tmp_path / "canary", target)
    elif plant == "pipe":
        os.mkfifo(target)
    else:
        target.mkdir()
    with pytest.raises(Denied) as caught:
        root.open(("file",))
    assert caught.value.code == "files.not_plain"


def test_a_linked_folder_is_not_entered(root, tmp_path):
    """A folder that is a link is refused for reading, creating, moving and deleting."""
    (root.path / "folder").symlink_to(tmp_path)
    _write(root, ("file",))
    for act in (
        lambda: root.open(("folder", "canary")),
        lambda: root.create(("folder", "new")),
        lambda: root.move(("file",), ("folder", "new")),
        lambda: root.delete(("folder", "canary")),
        lambda: root.names(("folder",)),
    ):
        with pytest.raises(Denied):
            act()
    assert (tmp_path / "canary").read_bytes() == b"secret"
    assert not (tmp_path / "new").exists()


def test_deleting_a_link_leaves_its_target(root, tmp_path):
    """Deleting removes the name below the root and nothing else."""
    (root.path / "file").symlink_to(tmp_path / "canary")
    assert root.delete(("file",))
    assert (tmp_path / "canary").exists()
    assert not root.delete(("file",))
